#!/bin/sh
# Runs a script over a video and encodes the result with the source's sound.
#
#   examples/encode.sh SCRIPT SOURCE RESULT [vspipe's options]
#   VIDEO='-c:v libx265 -crf 20' examples/encode.sh examples/to60.vpy film.mkv film-60.mkv -p
#
# VIDEO   ffmpeg's options for the video; default: -c:v libx264 -crf 18
# FFMPEG  the ffmpeg to run; default: the one on PATH, else the one inside the package imageio-ffmpeg
#
# RESULT appears only when both programs have succeeded; until then it is RESULT with .part before its suffix.
set -eu

if [ $# -lt 3 ]; then
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
script=$1 source=$2 result=$3
shift 3

[ -f "$source" ] || {
    echo "encode.sh: no such file: $source" >&2
    exit 2
}
[ ! -e "$result" ] || {
    echo "encode.sh: $result exists already; delete it, or give another name" >&2
    exit 2
}
if [ -z "${FFMPEG:-}" ]; then
    FFMPEG=$(command -v ffmpeg) ||
        FFMPEG=$(python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())') || {
        echo "encode.sh: no ffmpeg: install it, or: pip install imageio-ffmpeg" >&2
        exit 1
    }
fi
# vspipe goes into the script's folder before it runs the script, so a relative name would be looked for there.
case $source in
/*) ;;
*) source=$PWD/$source ;;
esac
part=${result%.*}.part.${result##*.}
failed=$(mktemp)
trap 'rm -f "$failed"' EXIT

encode() {
    # shellcheck disable=SC2086 # VIDEO is several words
    "$FFMPEG" -hide_banner -loglevel warning -y -i - -i "$source" -map 0:v -map '1:a?' \
        ${VIDEO:--c:v libx264 -crf 18} -c:a copy "$part"
}

# A pipe's status is that of its last command; vspipe's is kept in a file, or half a film would pass for a whole one.
{ vspipe -c y4m -a source="$source" "$@" "$script" - || echo vspipe >"$failed"; } | encode || echo ffmpeg >>"$failed"

if [ -s "$failed" ]; then
    echo "encode.sh: failed: $(tr '\n' ' ' <"$failed")(see above); $result was not written" >&2
    exit 1
fi
mv -f "$part" "$result"
