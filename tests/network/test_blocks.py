import pytest
import torch
from torch import nn

from tests.network.small import ARCHITECTURES
from vsrife.network.blocks import IFBlock


def test_a_block_halves_once_less_where_it_is_told():
    x = torch.rand(1, 7, 16, 24)
    for stride, size in ((2, (8, 12)), (1, (16, 24))):
        assert IFBlock(ARCHITECTURES["A"], 3, inputs=7, stride=stride)(x).shape == (1, 5, *size)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_block_takes_what_its_network_gives_it_or_what_it_is_told(name):
    architecture = ARCHITECTURES[name]
    for index in range(len(architecture.widths)):
        convolutions = [each for each in IFBlock(architecture, index).modules() if isinstance(each, nn.Conv2d)]
        assert convolutions[0].in_channels == architecture.block_inputs(index)
    other = IFBlock(architecture, 1, inputs=9)
    shapes = {key: value.shape for key, value in IFBlock(architecture, 1).state_dict().items()}
    shapes["conv0.0.0.weight"] = (shapes["conv0.0.0.weight"][0], 9, 3, 3)
    assert {key: value.shape for key, value in other.state_dict().items()} == shapes


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_answer_is_as_much_coarser_as_the_architecture_says(name):
    architecture = ARCHITECTURES[name]
    answer = IFBlock(architecture, 0)(torch.rand(1, architecture.block_inputs(0), 16, 24))
    assert answer.shape[-2:] == (16 // architecture.output_scale, 24 // architecture.output_scale)
