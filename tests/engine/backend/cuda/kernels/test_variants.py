"""That no kernel escapes: the sources, the table of kernels, the launches, NVRTC's verdict for every architecture."""

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from vsrife.engine.backend.cuda.kernels import KERNELS, Blocks, Kernels, Variant, new_pair, variants
from vsrife.engine.backend.cuda.kernels.kernels import CELL_WEIGHTS
from vsrife.engine.backend.cuda.kernels.launch import Launch
from vsrife.engine.backend.cuda.kernels.loader import COMPILER_OPTIONS
from vsrife.scene import signature

from . import cases
from .inputs import BRAIN, FLOAT, HALF, NETS, Net

pytestmark = pytest.mark.slow

FOLDER = Path(variants.__file__).parent
ARCHITECTURES = (75, 80, 86, 89, 90, 120)
MOST_REGISTERS = 128
"""Of a thread: with it, two blocks of 256 threads fit a multiprocessor."""


def blocks_before(net: Net, block: int) -> Blocks:
    return Blocks(
        scales=net.scales[:block], shuffled=net.shuffled, adds_masks=net.adds_masks, hidden=net.hidden if block else 0
    )


def gathers(name: str, dtype: torch.dtype) -> list[Variant]:
    net = NETS[name]
    reads = net.scales if net.shuffled else tuple(scale // 2 for scale in net.scales)
    return [Variant.gather(dtype, net.channels, scale, blocks_before(net, block)) for block, scale in enumerate(reads)]


def synthesis(name: str, dtype: torch.dtype, sample: torch.dtype, planes: int, *subsampling: int) -> Variant:
    net = NETS[name]
    blocks = Blocks(scales=net.scales, shuffled=net.shuffled, adds_masks=net.adds_masks, hidden=0)
    return Variant.synthesis(dtype, sample, planes, subsampling, blocks)


U8, U16 = torch.uint8, torch.uint16

EVERY = [
    Variant.pair(),
    *(Variant.measures(sample) for sample in variants.SAMPLES),
    *(Variant.convert(sample, number, channels)
      for sample, (number, channels) in zip(variants.SAMPLES, [(HALF, 4), (BRAIN, 8), (FLOAT, 12), (HALF, 12)],
                                            strict=True)),
    *(Variant.convert(U8, number, channels) for number in (HALF, BRAIN, FLOAT) for channels in (4, 8, 12)),
    *(Variant.epilogue(number, channels, residual=residual, slopes=slopes)
      for number in (HALF, BRAIN, FLOAT)
      for channels, residual, slopes in [(192, True, False), (90, False, True), (45, True, True), (12, False, False)]),
    *(Variant.epilogue(number, 16, residual=False, slopes=slopes, joins=True)
      for number in (HALF, BRAIN, FLOAT) for slopes in (False, True)),
    *(variant for name in ("A", "C", "J", "ends in 2") for variant in gathers(name, HALF)),
    *(gathers(name, HALF)[-1] for name in ("E", "G", "I")),
    *(gathers(name, dtype)[-1] for name, dtype in [("C", FLOAT), ("E", BRAIN), ("J", BRAIN), ("J", FLOAT)]),
    *(synthesis(name, HALF, U8, 3, 1, 1) for name in ("A", "C", "J", "ends in 2", "ends in 4")),
    *(synthesis("J", dtype, sample, 3, *subsampling)
      for dtype, sample, *subsampling in [(HALF, U16, 0, 0), (FLOAT, FLOAT, 0, 0), (BRAIN, U8, 1, 0),
                                          (HALF, HALF, 4, 4), (HALF, U8, 2, 0), (HALF, U8, 0, 1)]),
    *(synthesis("C", HALF, sample, 1, 0, 0) for sample in (U8, HALF)),
]  # fmt: skip

FEW = [
    Variant.pair(),
    Variant.measures(HALF),
    Variant.convert(U8, HALF, 8),
    Variant.convert(U16, BRAIN, 12),
    Variant.epilogue(HALF, 64, residual=True, slopes=False),
    Variant.epilogue(BRAIN, 64, residual=True, slopes=True),
    gathers("J", HALF)[3],
    gathers("J", HALF)[4],
    gathers("C", BRAIN)[3],
    synthesis("J", HALF, U8, 3, 1, 1),
]


@pytest.fixture(scope="module")
def nvrtc() -> object:
    return pytest.importorskip("cuda.bindings.nvrtc", reason="needs NVRTC's bindings, which torch for CUDA brings")


def compiled(nvrtc: object, variant: Variant, architecture: int) -> str:
    """The compiler's log; fails the test where there is no code."""
    # The option after the architecture is one that cupy always gives.
    options = [f"--gpu-architecture=sm_{architecture}", "--device-as-default-execution-space", "--ptxas-options=-v"]
    options += COMPILER_OPTIONS
    status, program = nvrtc.nvrtcCreateProgram(variant.code.encode(), f"{variant.source}.cu".encode(), 0, None, None)
    assert status == 0
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = b" " * size
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(program)
    text = log.decode().strip("\0")
    assert status == 0, f"{variant}\n{text}"
    return text


def check_log(log: str, variant: Variant) -> None:
    assert "warning" not in log, log
    assert sorted(re.findall(r"entry function '(\w+)'", log)) == sorted(variant.functions)
    frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", log)
    assert len(frames) == len(variant.functions)
    # powf keeps nothing there, nor may we: memory of a thread's own is the slowest there is.
    assert all(each == ("0", "0", "0") for each in frames), f"{variant}\n{log}"
    assert all(int(used) <= MOST_REGISTERS for used in re.findall(r"Used (\d+) registers", log)), f"{variant}\n{log}"


@pytest.mark.parametrize("source", sorted(KERNELS))
def test_every_variant_compiles_for_hopper_and_spills_nothing(nvrtc, source):
    for variant in dict.fromkeys(EVERY):
        if variant.source == source:
            check_log(compiled(nvrtc, variant, 90), variant)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_kernel_compiles_for_every_architecture(nvrtc, architecture):
    for variant in FEW:
        check_log(compiled(nvrtc, variant, architecture), variant)


def test_the_lists_are_of_the_same_kernels():
    sources = {
        path.stem: tuple(re.findall(r"^KERNEL\((\w+),", path.read_text(), re.MULTILINE)) for path in FOLDER.glob("*.cu")
    }
    assert sources == KERNELS
    assert {variant.source for variant in EVERY} == set(KERNELS)
    assert {variant.source for variant in FEW} == set(KERNELS)


def test_every_kernel_is_launched_by_a_public_function():
    launched: set[tuple[str, str]] = set()

    def record(launch: Launch) -> None:
        launched.add((launch.variant.source, launch.function))
        assert launch.function in launch.variant.functions

    kernels, device = Kernels(record), torch.device("cpu")
    checks = (
        (cases.check_convert, cases.CONVERT), (cases.check_gather, cases.GATHER),
        (cases.check_synthesis, cases.SYNTHESIS), (cases.check_epilogue, cases.EPILOGUE),
        (cases.check_signature, cases.MEASURES), (cases.check_still, cases.MEASURES),
    )  # fmt: skip
    for check, table in checks:
        # A kernel that does nothing is found out, so every check can fail.
        with pytest.raises(AssertionError):
            check(kernels, device, table[0])
    assert launched == {(source, function) for source, functions in KERNELS.items() for function in functions}


def test_every_argument_has_the_size_that_the_source_gives_it(kernels, host):
    """`Host` compares sizes at every launch; here, that it can tell."""
    launches: list[Launch] = []
    Kernels(launches.append).set_pair(new_pair(torch.device("cpu")), *(torch.zeros((1, 4, 1, 1)),) * 2, 0.5)

    class Longer(ctypes.Structure):
        _fields_ = [("arguments", type(launches[0].arguments)), ("more", ctypes.c_int)]

    (launch,) = launches
    wrong = Launch(
        variant=launch.variant, function=launch.function, grid=launch.grid, block=launch.block, arguments=Longer()
    )
    with pytest.raises(AssertionError, match="laid out otherwise"):
        host(wrong)


def includes(text: str) -> Iterator[str]:
    return iter(re.findall(r"#include .*", text))


@pytest.mark.parametrize("source", sorted(KERNELS))
def test_a_source_is_whole_and_needs_no_header_of_cuda(source):
    text = Variant(source=source).code
    assert list(includes(text)) == ['#include "shim.h"'], "the one for the host alone"
    assert text.count("void widen(unsigned word, bf16") == 1, "each header once"


def test_what_stands_twice_agrees():
    assert CELL_WEIGHTS == signature._RGB_WEIGHTS


@pytest.mark.parametrize("scales", [(3,), (0,), (8, 6)])
def test_scales_that_are_no_powers_of_two_are_refused(scales):
    with pytest.raises(ValueError, match="powers of two"):
        Blocks(scales=scales, shuffled=True, adds_masks=False, hidden=0)


@pytest.mark.parametrize(("scale", "scales"), [(4, (8, 4)), (16, (8,)), (3, ()), (0, (8,))])
def test_a_block_must_be_finer_than_those_before_it(scale, scales):
    with pytest.raises(ValueError, match=rf"scale \({scale}\)"):
        Variant.gather(HALF, 8, scale, Blocks(scales=scales, shuffled=True, adds_masks=False, hidden=0))
