"""The operations and bytes that are counted, and the rates that are measured."""

import pytest
import torch

from tests.network.small import ARCHITECTURES as SMALL
from vsrife.bench import synthetic_input
from vsrife.bench.timing import QUICK
from vsrife.bench.work import measured_rates, work_of

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


class TestWork:
    @pytest.mark.parametrize(("name", "gflop", "encoder"), [("4.6", 175.2, 0.0), ("4.26", 80.2, 6.3)])
    @pytest.mark.parametrize(("height", "factor"), [(1088, 1), (2176, 4)])
    def test_operations_are_those_of_the_published_count(self, name, gflop, encoder, height, factor):
        width = 1920 * height // 1088
        work = work_of(synthetic_input.ARCHITECTURES[name], (height, width), 2)
        assert work.flop / 1e9 == pytest.approx(factor * gflop, abs=0.05 * factor)
        assert work.encode_flop / 1e9 == pytest.approx(factor * encoder, abs=0.05 * factor)

    def test_one_convolution_by_hand(self):
        # Blocks of the paper's kind: 7 channels at half size, then 8 layers of 16 at a quarter, then up by two.
        architecture = SMALL["D"]
        cells = (64 // 8) * (128 // 8)
        flop = (
            2 * 9 * 7 * 8 * cells // 4 + 2 * 9 * (8 * 16 + 8 * 16 * 16) * cells // 16 + 2 * 16 * 16 * 24 * cells // 16
        )
        rest = work_of(architecture, (64, 128), 4).flop - flop
        widths = architecture.widths
        assert rest == sum(
            (2 * 9 * 12 * w // 2 * area // 4)
            + 2 * 9 * (w // 2 * w + 8 * w * w) * area // 16
            + 2 * 16 * w * 24 * area // 16
            for w, area in zip(widths[1:], (16 * 32, 32 * 64, 64 * 128), strict=True)
        )

    @pytest.mark.parametrize("name", sorted(SMALL))
    def test_every_kind_of_network_is_counted(self, name):
        half, single = (work_of(SMALL[name], (128, 256), size) for size in (2, 4))
        assert half.flop == single.flop > 0
        assert half.bytes < single.bytes < 2 * half.bytes  # the planes are bytes in both
        assert (half.encode_flop > 0) == (SMALL[name].features > 0)

    def test_rates_are_of_this_machine(self):
        rates = measured_rates(CPU, torch.float32, QUICK)
        assert 1e9 < rates.flop < 1e14
        assert 1e8 < rates.bytes < 1e13
