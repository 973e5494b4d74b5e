"""Scene detectors: this project's, asked about the pair alone, and others, which see the case as a sequence.

Those of others come from PyPI (scenedetect, opencv-python-headless, vapoursynth-scenechange, vapoursynth-scxvid,
vapoursynth-mvutensils) and are loaded when they are asked for. vapoursynth-zscene only reads lists that other programs
have written, and detects nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from scenes.case import LEFT, RIGHT, Shard
from scenes.footage import PADDING, pairs, sequences
from scenes.thumbnails import CUT, cut_score, thumbnail
from vsrife.scene.scene_change import DEFAULT_CUT_THRESHOLD

__all__ = ["DETECTORS", "Detector", "Verdicts", "on_pairs"]

type Bytes = NDArray[np.uint8]
type Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """For each case: whether a cut was found with the detector's defaults, and its score where it gives one."""

    cut: Bools
    score: NDArray[np.float64] | None = None


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A detector by name. judge: its verdicts on a row, with that model where it uses one."""

    name: str
    judge: Callable[[Shard, str], Verdicts]
    about: str


def on_pairs(clip: vs.VideoNode, count: int, model: str) -> Verdicts:
    """core.rife.RIFE's own word on frames 2k and 2k + 1 of a clip, from the frame that belongs in their middle.

    With a threshold of 0 every pair is a cut: its score is what is known before the network is asked, and costs no
    interpolation. Only pairs that may be cuts by that are asked about again, with the threshold as it is.
    """
    kinds, scores = _middles(vs.core.rife.RIFE(clip, model=model, sc_threshold=0), range(count))
    doubtful = [k for k in range(count) if scores[k] >= DEFAULT_CUT_THRESHOLD]
    called = np.zeros(count, dtype=bool)
    kinds, settled = _middles(vs.core.rife.RIFE(clip, model=model), doubtful)
    for k, kind, score in zip(doubtful, kinds, settled, strict=True):
        called[k], scores[k] = kind == "scenechange", score
    return Verdicts(cut=called, score=np.array(scores))


def _middles(doubled: vs.VideoNode, pairs: Sequence[int]) -> tuple[list[str], list[float]]:
    """Kind and score of the frames between 2k and 2k + 1."""
    kinds, scores = [], []
    for k in pairs:
        with doubled.get_frame(4 * k + 1) as frame:
            kinds.append(str(frame.props["RifeKind"]))
            score = frame.props.get("RifeSceneScore", 0.0)
            assert isinstance(score, float)
            scores.append(score)
    return kinds, scores


def _ours(shard: Shard, model: str) -> Verdicts:
    return on_pairs(pairs(shard), len(shard.cut), model)


def _thumbnails(shard: Shard, _: str) -> Verdicts:
    """The thumbnails' word alone, without the network."""
    seen = [[thumbnail(case[k], shard.bits) for k in (LEFT, RIGHT)] for case in shard.frames]
    score = np.array([cut_score(left, right) for left, right in seen])
    return Verdicts(cut=score >= CUT, score=score)


def _bgr(frames: NDArray[Any], bits: int) -> Bytes:
    eight = (frames >> (bits - 8)).astype(np.uint8)
    return np.ascontiguousarray(eight[..., ::-1] if frames.ndim == 4 else np.stack([eight] * 3, -1))


def _scenedetect(name: str) -> Callable[[Shard, str], Verdicts]:
    """PySceneDetect's detector of that name, with its defaults."""

    def judge(shard: Shard, _: str) -> Verdicts:
        import scenedetect

        called, scores = [], []
        for case in shard.frames:
            detector = getattr(scenedetect, name)()
            frames, found, changes = _bgr(case, shard.bits), [], []
            # The first frame has been there for long: scenes have a least length. Its repetitions would tell nothing.
            for time, k in [(0, 0), *((PADDING[0] + k, k) for k in range(len(frames)))]:
                cuts = detector.process_frame(scenedetect.FrameTimecode(time, 24.0), frames[k])
                found += [int(cut.frame_num) for cut in cuts]
                changes.append(float(detector._frame_score))  # which its list of statistics has too, with edges
            called.append(PADDING[0] + RIGHT in found)
            scores.append(_ratio(changes[1:]) if name == "AdaptiveDetector" else changes[1 + RIGHT])
        return Verdicts(cut=np.array(called), score=np.array(scores))

    return judge


def _ratio(changes: list[float], window: int = 2, least: float = 15.0) -> float:
    """What AdaptiveDetector compares with its threshold: a frame's change by the mean of its neighbours' changes."""
    change = changes[RIGHT]
    around = changes[RIGHT - window : RIGHT] + changes[RIGHT + 1 : RIGHT + 1 + window]
    mean = sum(around) / len(around)
    if change < least:
        return 0.0
    return min(change / mean, 255.0) if mean >= 1e-5 else 255.0


def _flag(clip: vs.VideoNode, n: int) -> bool:
    with clip.get_frame(n) as frame:
        return bool(frame.props.get("_SceneChangePrev", 0))


def _highest(detectors: dict[float, vs.VideoNode], numbers: list[int]) -> NDArray[np.float64]:
    """At each of the frames the highest threshold at which a detector sees a cut, or 0."""
    return np.array([max((t for t, clip in detectors.items() if _flag(clip, n)), default=0.0) for n in numbers])


def _scenechange(shard: Shard, _: str) -> Verdicts:
    clip, numbers = sequences(shard)
    default = vs.core.scd.Detect(clip)
    swept = {float(t): vs.core.scd.Detect(clip, thresh=t) for t in (1, 2, 3, 4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60)}
    return Verdicts(cut=np.array([_flag(default, n) for n in numbers]), score=_highest(swept, numbers))


def _mvutensils(shard: Shard, _: str) -> Verdicts:
    clip, numbers = sequences(shard)
    vectors = vs.core.mvu.Analyse(vs.core.mvu.Super(clip, blksize=[8], overlap=[4]), delta=-1)
    default = vs.core.mvu.SCDetection(clip, vectors)
    shares = (1, 2, 5, 10, 15, 20, 30, 40, 51, 60, 70, 80, 90, 95, 99)
    swept = {float(t): vs.core.mvu.SCDetection(clip, vectors, thscd2=float(t)) for t in shares}
    return Verdicts(cut=np.array([_flag(default, n) for n in numbers]), score=_highest(swept, numbers))


def _scxvid(shard: Shard, _: str) -> Verdicts:
    clip, numbers = sequences(shard)
    wanted = set(numbers)
    marked = vs.core.scxvid.Scxvid(clip).frames(close=True)  # in order: it looks back
    flags = [bool(frame.props.get("_SceneChangePrev", 0)) for n, frame in enumerate(marked) if n in wanted]
    return Verdicts(cut=np.array(flags))


DETECTORS: tuple[Detector, ...] = (
    Detector(name="rife", judge=_ours, about="core.rife.RIFE on the pair"),
    Detector(name="thumbnails", judge=_thumbnails, about="this project's before it asked the network"),
    Detector(name="content", judge=_scenedetect("ContentDetector"), about="PySceneDetect"),
    Detector(
        name="adaptive",
        judge=_scenedetect("AdaptiveDetector"),
        about="PySceneDetect",
    ),
    Detector(name="scenechange", judge=_scenechange, about="vapoursynth-scenechange, scd.Detect(clip)"),
    Detector(name="scxvid", judge=_scxvid, about="vapoursynth-scxvid, scxvid.Scxvid(clip)"),
    Detector(name="mvutensils", judge=_mvutensils, about="vapoursynth-mvutensils, SCDetection of 8 x 8 blocks"),
)
