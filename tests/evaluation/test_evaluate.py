"""`vsrife evaluate` from the command line to tables, JSON and page."""

import argparse
import base64
import io
import json
import re
import shutil
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

import vsrife
from vsrife.cli import evaluate as verb
from vsrife.cli import main
from vsrife.datasets.clips import open_clip
from vsrife.evaluation import metrics, vmaf
from vsrife.evaluation import run as measuring
from vsrife.evaluation.examples import _worst_box
from vsrife.evaluation.protocols import PROTOCOLS
from vsrife.evaluation.samples import pictures

from . import folders

has_vmaf = pytest.mark.skipif(vmaf.find_vmaf()[0] is None, reason=f"VMAF: {vmaf.find_vmaf()[1]}")


def run(capsys, *arguments):
    status = main(["evaluate", *map(str, arguments), "--device", "cpu", "--precision", "float32"])
    written = capsys.readouterr()
    return status, written.out, written.err


def measured(capsys, tmp_path, *arguments):
    """The JSON of a run."""
    status, _, err = run(capsys, *arguments, "--json", tmp_path / "out.json")
    assert (status, err) == (0, "")
    return json.loads((tmp_path / "out.json").read_text())


def test_the_protocols_stand_in_the_command_line():
    assert tuple(PROTOCOLS) == verb.PROTOCOLS


def test_it_has_help(capsys):
    assert main(["evaluate", "--help"]) == 0
    assert "snu-film" in capsys.readouterr().out


@pytest.mark.parametrize("protocol", ["clips-2x", "clips-4x"])
def test_the_average_is_right_about_a_fade_at_every_time(capsys, tmp_path, average_model, protocol):
    """Which proves that truth and time belong together. The model is that average only at t = 0.5."""
    folders.clip_folder(tmp_path / "clips", folders.fade, 9)
    found = measured(capsys, tmp_path, protocol, tmp_path / "clips", "--models", average_model, "--no-vmaf")
    assert [row["name"] for row in found["rows"]] == ["a.y4m", "b.y4m"]
    for row in found["rows"]:
        for frame in row["frames"]:
            average, model = (frame["values"][method] for method in ("average", "average.safetensors"))
            assert average["psnr"] > 50
            assert average["ssim"] > 0.998
            if frame["time"] == "1/2":
                assert model["psnr"] == pytest.approx(average["psnr"], abs=1.5)
            else:
                assert model["psnr"] < average["psnr"]
    if protocol == "clips-4x":
        assert set(found["mean_of_times"]) == {"1/4", "1/2", "3/4"}
    assert "vmaf" not in found["mean"]["average"]


def test_durations_of_frames_change_no_figure(capsys, tmp_path, average_model, monkeypatch):
    """A clip of a varying rate, of which every other frame was taken away: what its durations call a pause is none."""
    folders.clip_folder(tmp_path / "clips", folders.fade, 9)
    arguments = (capsys, tmp_path, "clips-2x", tmp_path / "clips", "--models", average_model, "--no-vmaf")
    even = measured(*arguments)["rows"]

    def uneven(path, pixels=None):
        clip = open_clip(path, pixels)
        long, short = (clip.std.SetFrameProps(_DurationNum=number, _DurationDen=30) for number in (30, 1))
        return clip.std.FrameEval(lambda n: long if n % 4 == 0 else short)

    monkeypatch.setattr("vsrife.evaluation.clips.open_clip", uneven)
    assert measured(*arguments)["rows"] == even


def test_models_beside_each_other_in_tables_json_and_page(capsys, tmp_path, average_model, moving_model):
    folders.vimeo90k(tmp_path / "set")
    other = shutil.copy(moving_model, tmp_path / "average.safetensors")
    written = []
    for name in ("once", "again"):
        files = (tmp_path / f"{name}.json", tmp_path / f"{name}.html")
        models = (average_model, moving_model, other)
        status, out, err = run(
            *(capsys, "vimeo90k", tmp_path / "set", "--models", *models, "--pictures", 2),
            *("--json", files[0], "--html", files[1]),
        )
        assert (status, err) == (0, "")
        written.append((out, *(file.read_bytes() for file in files)))
    assert written[0] == written[1]

    out, page = written[0][0], written[0][2].decode()
    lines = out.splitlines()
    heads = lines[lines.index("PSNR (dB), higher is better") + 1].split()
    # Two files of one name go by what was typed.
    assert heads == ["frames", "average", str(average_model), "moving.safetensors", str(other)]
    (psnr_line, ssim_line) = (line.split() for line in lines if line.startswith("mean "))
    assert psnr_line[3] == psnr_line[2]  # this model is the average
    assert float(psnr_line[2]) > float(psnr_line[4]) == float(psnr_line[5])
    assert float(ssim_line[2]) < 1

    found = json.loads(written[0][1])
    assert found["protocol"] == "vimeo90k"
    assert found["models"]["moving.safetensors"]["file"] == "moving.safetensors"
    frames = [frame["values"]["average"]["psnr"] for row in found["rows"] for frame in row["frames"]]
    assert found["mean"]["average"]["psnr"] == pytest.approx(np.mean(frames))

    assert "http" not in page
    assert page.count('<div class="example"') == 2
    pictures = [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r"base64,([^\"]+)\"", page)]
    # Seven columns, each whole and enlarged, and differences of all but the truth.
    assert len(pictures) == 2 * (2 * 7 + 2 * 6)
    assert {picture.size for picture in pictures} == {folders.SIZE}


def test_a_set_of_groups_and_sizes(capsys, tmp_path, average_model):
    folders.snu_film(tmp_path / "set")
    found = measured(capsys, tmp_path, "snu-film", tmp_path / "set", "--models", average_model)
    assert list(found["mean_of_groups"]) == ["easy", "medium", "hard", "extreme"]
    means = [found["mean_of_groups"][mode]["average"]["psnr"] for mode in found["mean_of_groups"]]
    assert means[0] > means[1] > means[2]
    assert found["mean"]["average"]["psnr"] == pytest.approx(np.mean(means))


def test_middlebury_is_judged_by_its_error(capsys, tmp_path, average_model):
    folders.middlebury(tmp_path / "set")
    status, out, _ = run(
        capsys, "middlebury", tmp_path / "set", "--models", average_model, "--html", tmp_path / "x.html"
    )
    assert status == 0
    assert out.splitlines()[2] == "IE (of 255), lower is better"
    assert len([line for line in out.splitlines() if line.startswith("Venus ")]) == 3


@has_vmaf
def test_vmaf_is_of_a_clip(capsys, tmp_path, average_model):
    folders.clip_folder(tmp_path / "clips", lambda n: folders.texture(n, 130, 99), 9)
    found = measured(capsys, tmp_path, "clips-2x", tmp_path / "clips", "--models", average_model)
    for row in found["rows"]:
        assert 0 < row["mean"]["average"]["vmaf"] < 100
        assert "vmaf" not in row["frames"][0]["values"]["average"]
    assert found["notes"] == {}


@has_vmaf
def test_vmaf_of_itself_is_high_and_of_another_is_not():
    program, _ = vmaf.find_vmaf()
    pictures = [folders.texture(time, 130, 99).transpose(2, 0, 1) for time in range(6)]
    scores = []
    for shift in (0, 3):
        with vmaf.Vmaf(program, 130, 99) as score:
            for picture in pictures:
                score.add(picture, np.roll(picture, shift, 2))
            scores.append(score.score()[0])
    assert scores[0] > 95 > 60 > scores[1]


def test_without_libvmaf_there_is_a_dash_and_the_reason(capsys, tmp_path, average_model, monkeypatch):
    monkeypatch.setattr(measuring, "find_vmaf", lambda: (None, "ffmpeg is built without libvmaf"))
    folders.clip_folder(tmp_path / "clips", count=7)
    status, out, _ = run(capsys, "clips-2x", tmp_path / "clips", "--models", average_model)
    assert status == 0
    assert [line.split() for line in out.splitlines() if line.startswith("mean ")][2] == ["mean", "3", "-", "-"]
    assert out.rstrip().endswith("VMAF: ffmpeg is built without libvmaf")


@has_vmaf
def test_frames_that_vmaf_does_not_take_are_a_dash_and_the_reason(capsys, tmp_path, average_model):
    folders.clip(tmp_path / "clips" / "a.y4m", [folders.texture(n, 20, 9) for n in range(5)])
    found = measured(capsys, tmp_path, "clips-2x", tmp_path / "clips", "--models", average_model)
    assert found["rows"][0]["mean"]["average"]["vmaf"] is None
    assert found["notes"]["VMAF of a.y4m"].startswith("libvmaf does not take these frames: ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("clips-2x", "nowhere"), "folder (nowhere) must be a folder"),
        (("clips-2x", "."), "clips (.) must be a folder with video files"),
        (("clips-2x", ".", "--limit", "0"), "limit (0) must be 1 or more"),
        (("clips-2x", ".", "--pictures", "-1"), "pictures (-1) must be 0 or more"),
        (("clips-2x", ".", "--json", "no/where.json"), "json (no/where.json) must be a file in a folder that exists"),
        (("clips-2x", ".", "--html", "."), "html (.) must be a file"),
        (("clips-2x", ".", "--models", "5.0"), "model (5.0) must be a model's name or a checkpoint file"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2(capsys, tmp_path, monkeypatch, average_model, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    if "--models" not in arguments:
        arguments = (*arguments, "--models", average_model)
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"vsrife: {complaint}")
    assert err.count("\n") == 1


def test_what_the_filter_says_is_one_line_too(capsys, tmp_path, average_model):
    folders.clip_folder(tmp_path / "clips", count=7)
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    status, _, err = run(capsys, "clips-2x", tmp_path / "clips", "--models", tmp_path / "broken.safetensors")
    assert status == 2
    assert err.startswith("vsrife: model (")
    assert err.count("\n") == 1


def test_the_worst_box_is_where_the_error_is():
    error = np.zeros((200, 300))
    error[120:130, 210:230] = 1
    box = _worst_box(error)
    assert (box.width, box.height) == (96, 72)
    assert box.left <= 210
    assert box.left + box.width >= 230
    assert box.top <= 120
    assert box.top + box.height >= 130


def test_options_are_taken_as_they_are_named():
    parser = argparse.ArgumentParser()
    verb.add(parser.add_subparsers())
    given = parser.parse_args(["evaluate", "clips-4x", "x", "--models", "a", "b", "--no-vmaf"])
    assert (given.protocol, given.models, given.no_vmaf, given.limit) == ("clips-4x", ["a", "b"], True, None)


def test_the_filter_is_given_the_two_frames_alone(capsys, tmp_path, moving_model):
    """Each made frame is that of a clip that has nothing but its neighbours."""
    folders.clip_folder(tmp_path / "clips")
    found = measured(capsys, tmp_path, "clips-4x", tmp_path / "clips", "--models", moving_model, "--no-vmaf")
    clip = open_clip(tmp_path / "clips" / "a.y4m")
    frames = found["rows"][0]["frames"]
    assert [(frame["name"], frame["time"]) for frame in frames[:4]] == [
        ("0", "1/4"),
        ("0", "1/2"),
        ("0", "3/4"),
        ("8", "1/4"),
    ]
    for frame in frames:
        n, step = int(frame["name"]), int(4 * Fraction(frame["time"]))
        two = clip[n] + clip[n + 4]
        made = vsrife.RIFE(two, 4, model=moving_model, sc=False, skip=False, device="cpu", precision="float32")
        ((truth,), (picture,)) = (list(pictures(*of)) for of in ((clip, [n + step]), (made, [step])))
        assert frame["values"]["moving.safetensors"]["psnr"] == metrics.psnr(truth, picture)


def test_real_clips(capsys, tmp_path, shared, official_model):
    for name in ("bikes.mp4", "pedestrians.avi"):
        (tmp_path / name).symlink_to(shared / "data" / "clips_eval" / name)
    found = measured(
        *(capsys, tmp_path, "clips-2x", tmp_path, "--models", official_model, "--limit", 2, "--no-vmaf"),
    )
    means = [{method: values["psnr"] for method, values in row["mean"].items()} for row in found["rows"]]
    assert [mean["average"] for mean in means] == pytest.approx([28.15, 28.16], abs=0.02)
    assert [mean["flownet_v4.0.pkl"] for mean in means] == pytest.approx([38.95, 33.10], abs=0.05)
