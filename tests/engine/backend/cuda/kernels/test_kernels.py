"""Every kernel against its torch twin, the CUDA sources compiled for the host."""

import pytest

from . import cases


@pytest.mark.parametrize("case", cases.CONVERT, ids=str)
def test_convert(kernels, device, case):
    cases.check_convert(kernels, device, case)


@pytest.mark.parametrize("case", cases.GATHER, ids=str)
def test_gather(kernels, device, case):
    cases.check_gather(kernels, device, case)


@pytest.mark.parametrize("case", cases.SYNTHESIS, ids=str)
def test_synthesis(kernels, device, case):
    cases.check_synthesis(kernels, device, case)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("fmt", cases.STILLNESS, ids=str)
def test_what_stands_or_steps_is_bit_for_bit(kernels, device, fmt, first):
    cases.check_stillness(kernels, device, fmt, first)


@pytest.mark.parametrize("fmt", cases.STILLNESS, ids=str)
def test_planes_that_are_kept(kernels, device, fmt):
    cases.check_placed(kernels, device, fmt)


def test_halves_go_to_even(kernels, device):
    cases.check_halves(kernels, device)


@pytest.mark.parametrize("case", cases.EPILOGUE, ids=str)
def test_epilogue(kernels, device, case):
    cases.check_epilogue(kernels, device, case)


@pytest.mark.parametrize("case", cases.MEASURES, ids=str)
def test_signature(kernels, device, case):
    cases.check_signature(kernels, device, case)


@pytest.mark.parametrize("case", cases.MEASURES, ids=str)
def test_still(kernels, device, case):
    cases.check_still(kernels, device, case)
