"""Winograd's convolutions against torch's own in float64, for every vector width that this processor has."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn import functional

from tests.engine.backend.cuda.kernels.inputs import generator_of
from tests.hosts.processes import finish, start_python
from vsrife.engine import winograd
from vsrife.engine.winograd import Winograd, resolve

LANES, REASON = resolve(torch.device("cpu"), torch.float32)

NEAR = 4e-5
"""Of the largest sum of absolute products: the transforms add and subtract numbers up to ten times the inputs, so the
error is some ten times that of a direct sum in float32, which is 4e-6 for the channels used here."""

SHAPES = [
    (1, 1, 1, 1),
    (1, 8, 4, 4),
    (3, 5, 2, 9),
    (7, 21, 13, 3),
    (16, 16, 4, 100),
    (24, 40, 33, 22),
    (64, 20, 17, 31),
    (90, 90, 21, 30),
    (192, 192, 6, 10),
]
"""Channels in, channels out, height, width: tails of vectors, of tiles and of groups of tiles."""


@pytest.fixture(params=[8, 16])
def lanes(request):
    if request.param > LANES:
        pytest.skip(f"needs registers of {request.param} floats: {REASON}")
    return request.param


def layer(inputs, outputs, *seed):
    """Weight, bias and slopes, some of the slopes above 1 and below 0."""
    generator = generator_of("winograd", inputs, outputs, *seed)
    weight = torch.randn((outputs, inputs, 3, 3), generator=generator) / (3 * inputs**0.5)
    bias, slopes = torch.randn((2, outputs), generator=generator)
    return weight, bias, slopes


def picture(channels, height, width, *seed):
    """[1, C, h, w] channels-last, within memory that is NaN in front of it and behind it."""
    count, margin = channels * height * width, 64 * channels
    memory = torch.full((count + 2 * margin,), torch.nan)
    inside = memory[margin : margin + count]
    inside.copy_(torch.randn(count, generator=generator_of("picture", channels, height, width, *seed)))
    return inside.view(1, height, width, channels).permute(0, 3, 1, 2)


def defined(x, weight, bias, slopes):
    """The answer in float64."""
    y = functional.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    return torch.where(y < 0, y * torch.as_tensor(slopes).double().view(-1, 1, 1), y)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_is_the_convolution_with_its_activation(lanes, shape):
    inputs, outputs, height, width = shape
    weight, bias, slopes = layer(inputs, outputs)
    x = picture(inputs, height, width)
    before = x.clone()
    for each in (slopes, 0.2, 1.0):
        y = Winograd(weight, bias, each, lanes=lanes)(x)
        assert y.shape == (1, outputs, height, width)
        assert y.is_contiguous(memory_format=torch.channels_last)
        expected = defined(x, weight, bias, each)
        sums = functional.conv2d(x.abs().double(), weight.abs().double(), padding=1)
        assert (y - expected).abs().max() <= NEAR * sums.max()
        assert expected.abs().max() > 100 * NEAR * sums.max(), "an answer of zeros would pass"
    assert torch.equal(x, before)


def test_nothing_is_written_beyond_what_is_given(lanes):
    """The compiled function itself, with margins around the answer and around its working memory."""
    lib, ffi = winograd._compiled()[0].lib, winograd._compiled()[0].ffi
    for inputs, outputs, height, width in SHAPES:
        weight, bias, slopes = layer(inputs, outputs)
        made, margin = Winograd(weight, bias, slopes, lanes=lanes), 512
        counts = outputs * height * width, lib.winograd_scratch(lanes, inputs, outputs)
        y, scratch = (torch.full((count + 2 * margin,), 7.0) for count in counts)
        x = picture(inputs, height, width)
        pointers = [made._address(each) for each in (x, made._weights, made._bias, made._slopes)]
        out, work = (ffi.cast("float *", each[margin:].data_ptr()) for each in (y, scratch))
        lib.winograd_convolve(lanes, *pointers, out, height, width, inputs, outputs, work)
        for memory, count in zip((y, scratch), counts, strict=True):
            assert (memory[:margin] == 7.0).all()
            assert (memory[margin + count :] == 7.0).all()
        assert torch.equal(y[margin:-margin].view(height, width, outputs), made(x)[0].permute(1, 2, 0))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_sample_that_is_no_number_stays_in_its_tiles(lanes, value):
    made = Winograd(*layer(8, 8), lanes=lanes)
    x = picture(8, 20, 20)
    expected = made(x)
    x[0, 3, 9, 9] = value  # read by the tiles of rows and columns 8 to 11, and by no other
    found = made(x)
    assert not found[0, :, 8:12, 8:12].isfinite().all()
    found[0, :, 8:12, 8:12] = expected[0, :, 8:12, 8:12]
    assert torch.equal(found, expected)


OTHER_DEFAULTS = """
import torch
from tests.engine.test_winograd import layer, picture
from vsrife.engine.winograd import Winograd
x, parts = picture(32, 40, 50), layer(32, 40)
before = Winograd(*parts)
expected = before(x)
for dtype in (torch.float16, torch.float64):
    torch.set_default_dtype(dtype)
    for device in ("cpu", "meta"):
        torch.set_default_device(device)
        for each in (before, Winograd(*parts)):
            assert torch.equal(each(x), expected), (dtype, device)
"""


def test_torch_s_defaults_for_the_process_change_nothing():
    """Another script of the process may set them; memory of another size or place would be written over."""
    if not LANES:
        pytest.skip(REASON)
    done = finish(start_python(OTHER_DEFAULTS), 100)
    assert done.returncode == 0, done.stderr


def test_the_default_width_is_one_of_those_that_were_tried(lanes):
    weight, bias, slopes = layer(24, 40)
    x = picture(24, 33, 22)
    made = Winograd(weight, bias, slopes)(x)
    assert torch.equal(made, Winograd(weight, bias, slopes, lanes=LANES)(x))


def test_many_threads_at_once_make_the_same_bytes(lanes):
    layers = [Winograd(*layer(48, 48, n), lanes=lanes) for n in range(2)]
    pictures = [picture(48, 30, 41, n) for n in range(4)]
    jobs = [(each, x) for each in layers for x in pictures] * 4
    alone = [each(x) for each, x in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: job[0](job[1]), jobs))
    assert all(map(torch.equal, alone, together))


def test_other_threads_run_python_meanwhile():
    """Held, the GIL would be asked for only after the switch interval, which is longer than all the work."""
    if not LANES:
        pytest.skip(REASON)
    each, x = Winograd(*layer(64, 64)), picture(64, 160, 160)
    done = threading.Event()

    def work():
        for _ in range(20):
            each(x)
        done.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        assert not done.is_set(), "this line was reached while the first of twenty calls ran"
        thread.join()
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(1, 8, 6, 6),
        torch.zeros(2, 8, 6, 6).to(memory_format=torch.channels_last),
        torch.zeros(1, 9, 6, 6).to(memory_format=torch.channels_last),
        torch.zeros(1, 8, 6, 6, dtype=torch.float64).to(memory_format=torch.channels_last),
        torch.zeros(1, 8, 6, 6, device="meta").to(memory_format=torch.channels_last),
        torch.zeros(8, 6, 6),
    ],
    ids=["layout", "batch", "channels", "type", "device", "dimensions"],
)
def test_another_tensor_is_refused(lanes, wrong):
    with pytest.raises(ValueError, match="x must be a channels-last float32 tensor"):
        Winograd(*layer(8, 8), lanes=lanes)(wrong)


@pytest.mark.parametrize(
    ("device", "dtype", "reason"),
    [
        ("cpu", torch.bfloat16, "float32 on a CPU, not for torch.bfloat16 on cpu"),
        ("cuda", torch.float32, "float32 on a CPU, not for torch.float32 on cuda"),
    ],
)
def test_what_it_is_not_for(device, dtype, reason):
    assert resolve(torch.device(device), dtype) == (0, f"they are for {reason}")


def test_a_build_without_the_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "_vsrife_winograd", None)
    winograd._compiled.cache_clear()
    try:
        lanes, reason = resolve(torch.device("cpu"), torch.float32)
        assert (lanes, reason.startswith("this build has no module for them")) == (0, True)
        with pytest.raises(RuntimeError, match="this build has no module"):
            Winograd(*layer(8, 8))
    finally:
        winograd._compiled.cache_clear()
