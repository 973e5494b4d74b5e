"""Which stages there are, in the order of what is learnt from them, and the command of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_stages.settings import Settings

__all__ = ["PYTEST_STAGES", "Stage", "stages_of"]

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One process.

    tells: what is learnt from it. expected, longest: seconds; it is not begun where less than `expected` is left, and
    ended after `longest`. command: arguments of the Python interpreter. usual: whether it runs unless others are named.
    """

    name: str
    tells: str
    expected: float
    longest: float
    command: tuple[str, ...]
    usual: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tests:
    """A stage of tests/gpu. files: without `test_` and `_gpu.py`. choice: of pytest's -k. workers: its processes on a
    GPU; one worker at the least, so that a test that ends its process does not end the stage. timeout: of one test.
    """

    name: str
    tells: str
    expected: float
    longest: float
    files: tuple[str, ...]
    choice: str = ""
    workers: int = 1
    timeout: int = 60


_FIRST_PARITY = "motion_of or replayed_frame or half_precision_of_every"
_LARGE = "2160p or flow_there"

PYTEST_STAGES = (
    _Tests(
        name="kernels",
        tells="each kernel against its PyTorch twin",
        expected=40,
        longest=150,
        files=("kernels",),
        workers=8,
    ),
    _Tests(
        name="cuda",
        tells="streams of our own, captures that fail, pinned memory",
        expected=10,
        longest=60,
        files=("cuda",),
    ),
    _Tests(
        name="parity",
        tells="motion by kernels and graphs against plain PyTorch",
        expected=30,
        longest=150,
        files=("parity",),
        choice=_FIRST_PARITY,
    ),
    _Tests(
        name="order",
        tells="the same bytes in any order, thread, lane and process",
        expected=60,
        longest=200,
        files=("order",),
    ),
    _Tests(name="host", tells="planes up and down", expected=20, longest=90, files=("host",)),
    _Tests(name="measures", tells="scene and still measures", expected=20, longest=90, files=("measures",)),
    _Tests(name="filter", tells="core.rife.RIFE against the CPU", expected=20, longest=120, files=("filter",)),
    _Tests(name="resident", tells="frames in GPU memory", expected=30, longest=120, files=("resident",)),
    _Tests(
        name="pictures",
        tells="pictures of every format and network",
        expected=40,
        longest=150,
        files=("parity",),
        choice=f"not ({_FIRST_PARITY} or {_LARGE})",
    ),
    _Tests(
        name="2160p",
        tells="half precision at 2160p",
        expected=30,
        longest=120,
        files=("parity",),
        choice=_LARGE,
    ),
    _Tests(
        name="load",
        tells="many frames, threads and filters; memory",
        expected=120,
        longest=400,
        files=("load",),
        timeout=150,
    ),
)


def stages_of(settings: Settings, bench_options: Sequence[str] = ()) -> list[Stage]:
    """All stages in their order; ``bench_options`` are added to those of `vsrife bench`."""
    tests = {each.name: _pytest(each, settings) for each in PYTEST_STAGES}
    size = f"{settings.width}x{settings.height}"
    bench = ["-m", "vsrife", "bench", f"--device={settings.device}", *(["--quick"] if settings.quick else [])]
    stages = [
        _measured("start", "versions, kernels, a copy, graphs, one frame", 30, 120, settings),
        tests.pop("kernels"),
        tests.pop("cuda"),
        tests.pop("parity"),
        Stage(
            name="bench",
            tells="the engine alone, both networks (docs/bench.md)",
            expected=45,
            longest=180,
            command=(*bench, "--engine-only", f"--sizes={size}", f"--json={settings.bench_file}", *bench_options),
        ),
        _measured("profile", "GPU time of a frame, kernel by kernel", 25, 90, settings),
        _measured("convolution", "one residual convolution, also fused by cuDNN", 35, 120, settings),
        _measured("choices", "cuDNN's benchmark, bands, lanes, staging", 75, 200, settings),
        _measured("transfers", "pageable and pinned copies; the filter, sc=0 and sc=1", 40, 120, settings),
    ]
    load = tests.pop("load")
    stages += tests.values()
    if (others := _other_files()) != ():
        rest = _Tests(name="others", tells="tests that no stage above names", expected=30, longest=150, files=others)
        stages.append(_pytest(rest, settings))
    whole = Stage(
        name="whole",
        tells="the whole filter, 1080p and 2160p (docs/bench.md); only where it is named",
        expected=240,
        longest=560,
        command=(
            *bench,
            *([f"--sizes={size}"] if settings.quick else []),
            f"--json={settings.whole_file}",
            *bench_options,
        ),
        usual=False,
    )
    return [*stages, load, whole]


def _measured(name: str, tells: str, expected: float, longest: float, settings: Settings) -> Stage:
    command = ("-m", f"gpu_stages.{name}", settings.as_argument())
    return Stage(name=name, tells=tells, expected=expected, longest=longest, command=command)


def _pytest(tests: _Tests, settings: Settings) -> Stage:
    on_gpu = settings.device != "cpu"
    options = [
        *("-q", "-rfE", "-W", "default", "--durations=5", "-p", "no:cacheprovider", "-p", "no:randomly"),
        # Where a test hangs inside CUDA, no signal reaches it: its process is ended, and before that tells where it is.
        *("--timeout-method=thread", f"--timeout={tests.timeout}", "-o", f"faulthandler_timeout={tests.timeout - 5}"),
        # Without a GPU all of it is skipped, and a worker would only take its time.
        f"-n{tests.workers if on_gpu else 0}",
        *(["-k", tests.choice] if tests.choice else []),
    ]
    files = [f"tests/gpu/test_{each}_gpu.py" for each in tests.files]
    return Stage(
        name=tests.name,
        tells=tests.tells,
        expected=tests.expected,
        longest=tests.longest,
        command=("-m", "pytest", *options, *files),
    )


def _other_files() -> tuple[str, ...]:
    """Test files of tests/gpu that have come since the list above was written."""
    named = {each for tests in PYTEST_STAGES for each in tests.files}
    found = {path.stem.removeprefix("test_").removesuffix("_gpu") for path in ROOT.glob("tests/gpu/test_*_gpu.py")}
    return tuple(sorted(found - named))
