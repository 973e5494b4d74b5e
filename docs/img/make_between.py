"""Makes between.jpg, the README's picture: a frame of the demo clip, the frame made in between, the frame 1/8 s later.

Run it in the checkout, with the extra `test` installed and the model fetched: `python docs/img/make_between.py`.
"""

from pathlib import Path

import numpy as np
import vapoursynth as vs
from PIL import Image

FOLDER = Path(__file__).resolve().parent
CLIP = FOLDER.parent.parent / "examples" / "clip.mp4"
LEFT, RIGHT = 22, 25
CROP = (0, 0, 320, 266)
GAP = 8


def main() -> None:
    """Writes the picture beside this script."""
    clip = vs.core.bs.VideoSource(str(CLIP), cachemode=0, showprogress=False)
    made = vs.core.rife.RIFE(clip[LEFT] + clip[RIGHT], multi=2, model="4.0")
    rgb = made.resize.Bicubic(format=vs.RGB24)
    width, height = CROP[2] - CROP[0], CROP[3] - CROP[1]
    picture = Image.new("RGB", (3 * width + 2 * GAP, height), "white")
    for n, frame in enumerate(rgb[:3].frames()):
        pixels = np.stack([np.asarray(frame[plane]) for plane in range(3)], axis=-1)
        picture.paste(Image.fromarray(pixels).crop(CROP), (n * (width + GAP), 0))
    picture.save(FOLDER / "between.jpg", quality=92, subsampling=0)


if __name__ == "__main__":
    main()
