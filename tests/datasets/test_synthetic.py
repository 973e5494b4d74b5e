"""The truth of synthetic scenes is exact: by warping, by colours, by arithmetic."""

import dataclasses

import pytest
import torch
from torch import Tensor

from vsrife.datasets import lettering
from vsrife.datasets.bank import Bank
from vsrife.datasets.batch import Batch
from vsrife.datasets.synthetic import Synthetic, SyntheticSettings
from vsrife.errors import ArgumentError
from vsrife.network.warp import backward_warp

pytestmark = pytest.mark.slow

NOTHING = dict.fromkeys(
    (
        "lettered",
        "scrolled",
        "blurred",
        "drifting",
        "shaded",
        "noisy",
        "compressed",
        "titled",
        "marked",
        "barred",
        "faded",
    ),
    0.0,
)
PLAIN = SyntheticSettings(height=112, width=144, any_time=1.0, **NOTHING)
"""FlowAndMask alone, of shapes filled with pictures."""

WIDE = dataclasses.replace(PLAIN, height=96, width=160)

TOLERANCE = 1 / 255
"""Of a warped frame against the frame at t. With waves of at least 85 pixels and of amplitude below 0.5, bilinear
sampling errs by 0.0007, two hundredths of a pixel of flow by 0.0007, a change of scale by a tenth by less; 8 bits of
the tiles by 0.0025 at worst. A quarter of a pixel errs by 0.009."""


def errors(batch: Batch, off: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Of both warped inputs from the truth [2, N, 3, H, W]; where nothing is hidden, and where all is [2, N, H, W]."""
    difference, clear, hidden = [], [], []
    for side, image in enumerate((batch.left, batch.right)):
        warped = backward_warp(image, batch.flow[:, 2 * side : 2 * side + 2] + off)
        difference.append((warped - batch.truth).abs())
        visible, known = batch.visible[:, side], batch.known[:, 0]
        clear.append((visible > 0.999) & (known > 0.999))
        hidden.append((visible < 0.001) & (known > 0.999))
    return torch.stack(difference), torch.stack(clear), torch.stack(hidden)


@pytest.fixture(scope="module")
def smooth(smooth_bank) -> Batch:
    return Synthetic(smooth_bank, PLAIN).draw(12, 11)


def test_warping_by_the_truth_gives_the_frame_where_nothing_is_hidden(smooth: Batch) -> None:
    difference, clear, _ = errors(smooth)
    assert clear.float().mean() > 0.6
    worst = difference.amax(2)[clear]
    assert worst.max() < TOLERANCE
    assert worst.mean() < TOLERANCE / 8


def test_a_quarter_of_a_pixel_would_be_seen(smooth: Batch) -> None:
    difference, clear, _ = errors(smooth, off=0.25)
    assert difference.amax(2)[clear].max() > 2 * TOLERANCE


def test_motion_is_not_small(smooth: Batch) -> None:
    length = (smooth.flow[:, 2:] - smooth.flow[:, :2]).norm(dim=1)
    assert length.amax() > 12
    assert (length.amax((1, 2)) > 2).sum() >= 8


def test_what_is_hidden_has_another_colour_there_and_what_is_seen_the_same(flat_bank: Bank) -> None:
    """Every layer has one colour, so colours tell which layer is in front, without any flow of the layers."""
    batch = Synthetic(flat_bank, PLAIN).draw(20, 5)
    difference, clear, hidden = errors(batch)
    assert difference.amax(2)[clear].max() < TOLERANCE
    # Outside of the picture nothing is seen, whatever colour its edge has.
    height, width = batch.truth.shape[-2:]
    for side in range(2):
        flow = batch.flow[:, 2 * side : 2 * side + 2]
        x, y = torch.arange(width) + flow[:, 0], torch.arange(height).view(-1, 1) + flow[:, 1]
        outside = (x < -0.01) | (y < -0.01) | (x > width - 0.99) | (y > height - 0.99)
        inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
        assert (batch.visible[:, side][outside] == 0).all()
        covered = hidden[side] & inside
        assert covered.float().mean() > 0.001
        # Two layers of a scene may have drawn one tile, though hardly in one tint.
        assert (difference[side].amax(1)[covered] > 2 * TOLERANCE).float().mean() > 0.97


def test_both_flows_are_parts_of_one_straight_motion(smooth: Batch) -> None:
    crossing = (1 - smooth.t) * smooth.flow[:, :2] + smooth.t * smooth.flow[:, 2:]
    assert crossing.abs().max() < 1e-3
    assert smooth.t.min() >= 0
    assert smooth.t.max() <= 1
    assert smooth.t.std() > 0.15


def test_the_truth_is_as_sharp_as_the_inputs(noise_bank: Bank) -> None:
    """Else a network would learn to sharpen, or to blur, what it moves."""

    def sharpness(picture: Tensor) -> Tensor:
        return (picture[..., 1:] - picture[..., :-1]).square().mean()

    settings = dataclasses.replace(PLAIN, any_time=0)
    batch = Synthetic(noise_bank, settings).draw(14, 6)
    assert (batch.t == 0.5).all()
    inputs = (sharpness(batch.left) + sharpness(batch.right)) / 2
    assert float(sharpness(batch.truth) / inputs) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("height", "width", "layers", "count"), [(33, 70, 0, 1), (48, 35, 1, 2), (64, 64, 6, 7)])
def test_sizes(noise_bank: Bank, height: int, width: int, layers: int, count: int) -> None:
    batch = Synthetic(noise_bank, SyntheticSettings(height=height, width=width, layers=layers)).draw(count, 1)
    shapes = {name: tuple(tensor.shape) for name, tensor in batch.tensors().items()}
    pictures = dict.fromkeys(("left", "right", "truth"), (count, 3, height, width))
    truth = {
        "flow": (count, 4, height, width),
        "visible": (count, 2, height, width),
        "known": (count, 1, height, width),
    }
    assert shapes == pictures | truth | {"t": (count, 1, 1, 1)}
    for name, tensor in batch.tensors().items():
        assert tensor.dtype is torch.float32
        assert tensor.is_contiguous()
        assert tensor.isfinite().all()
        if name != "flow":
            assert tensor.min() >= 0
            assert tensor.max() <= 1 + 1e-5


def test_a_seed_makes_the_same_scenes_whatever_else_is_random(noise_bank: Bank) -> None:
    source = Synthetic(noise_bank, SyntheticSettings(height=40, width=56))
    first = source.draw(5, 9).tensors()
    torch.rand(3)
    for name, tensor in source.draw(5, 9).tensors().items():
        assert torch.equal(first[name], tensor), name
    assert not torch.equal(first["truth"], source.draw(5, 10).truth)


def test_noise_is_on_the_inputs_alone(smooth_bank: Bank) -> None:
    clean = Synthetic(smooth_bank, PLAIN).draw(6, 4)
    noisy = Synthetic(smooth_bank, dataclasses.replace(PLAIN, noisy=1.0)).draw(6, 4)
    assert torch.equal(clean.truth, noisy.truth)
    assert torch.equal(clean.flow, noisy.flow)
    for a, b in ((clean.left, noisy.left), (clean.right, noisy.right)):
        assert 0.003 < (a - b).std() < 0.03
    assert not torch.equal(noisy.left - clean.left, noisy.right - clean.right)


def test_light_that_drifts_changes_evenly_with_time(flat_bank: Bank) -> None:
    still = dataclasses.replace(PLAIN, layers=0, drifting=1.0)
    batch = Synthetic(flat_bank, still).draw(16, 3)
    between = batch.left + (batch.right - batch.left) * batch.t
    assert (batch.left - batch.right).abs().amax((1, 2, 3)).mean() > 0.03
    # Gain and gamma are each linear in t; their product is not quite.
    assert (between - batch.truth).abs().max() < 0.015


def test_a_fade_has_no_known_motion(flat_bank: Bank) -> None:
    settings = dataclasses.replace(PLAIN, layers=0, faded=1.0)
    batch = Synthetic(flat_bank, settings).draw(6, 3)
    assert (batch.known == 0).all()
    assert (batch.visible == 0).all()
    between = batch.left + (batch.right - batch.left) * batch.t
    assert (between - batch.truth).abs().max() < TOLERANCE
    assert (batch.left - batch.right).abs().mean() > 0.05


def test_bars_are_black_and_stand_still(noise_bank: Bank) -> None:
    batch = Synthetic(noise_bank, dataclasses.replace(PLAIN, barred=1.0, noisy=0.0)).draw(4, 2)
    for row in (0, 3, -3, -1):
        for picture in (batch.left, batch.truth, batch.right, batch.flow):
            assert (picture[:, :, row] == 0).all()
        assert (batch.visible[:, :, row] == 1).all()
        assert (batch.known[:, :, row] == 1).all()


def still(batch: Batch) -> Tensor:
    """Where nothing moves at all and all is known [N, H, W]."""
    return (batch.flow == 0).all(1) & (batch.known[:, 0] > 0.999) & (batch.visible > 0.999).all(1)


@pytest.mark.parametrize(
    "shares",
    [{"lettered": 1.0}, {"scrolled": 1.0}, {"titled": 1.0}, {"marked": 1.0}, {"shaded": 1.0}, {"barred": 1.0}],
    ids=lambda shares: next(iter(shares)),
)
def test_the_truth_holds_with_text_logos_and_shades(
    smooth_bank: Bank, shares: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of these have edges, or change colours: where the truth says that nothing is hidden, none of it may be.

    Letters on a board are left out: they are edges within one surface, which sampling blurs.
    """
    monkeypatch.setattr(lettering, "_BOARDS", 0.0)
    batch = Synthetic(smooth_bank, dataclasses.replace(WIDE, **shares)).draw(12, 21)
    difference, clear, _ = errors(batch)
    assert clear.float().mean() > 0.4
    assert difference.amax(2)[clear].max() < TOLERANCE
    plain = Synthetic(smooth_bank, WIDE).draw(12, 21)
    assert (batch.truth - plain.truth).abs().amax((1, 2, 3)).gt(0.1).float().mean() > 0.8


@pytest.mark.parametrize("share", ["lettered", "scrolled"])
def test_letters_move_with_a_flow_of_their_own(flat_bank: Bank, share: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In scenes of one moving colour all that the truth follows wholly is that colour or the text."""
    monkeypatch.setattr(lettering, "_BOARDS", 0.0)
    settings = dataclasses.replace(WIDE, layers=1, **{share: 1.0})
    batch = Synthetic(flat_bank, settings).draw(20, 22)
    ground = Synthetic(flat_bank, dataclasses.replace(settings, layers=0)).draw(20, 22)
    difference, clear, hidden = errors(batch)
    letters = (batch.truth - ground.truth).abs().amax(1) > 0.1
    moved = (batch.flow - ground.flow).abs().amax(1) > 0.5
    assert (letters & moved & clear[0]).flatten(1).any(1).sum() >= 8
    assert difference.amax(2)[clear].max() < TOLERANCE
    assert hidden.any()


def test_credits_move_evenly(smooth_bank: Bank) -> None:
    batch = Synthetic(smooth_bank, dataclasses.replace(WIDE, layers=1, scrolled=1.0)).draw(16, 23)
    ground = Synthetic(smooth_bank, dataclasses.replace(WIDE, layers=0)).draw(16, 23)
    # No more than what the credits cover differs, and there all pixels of a scene have one flow.
    letters = (batch.flow - ground.flow).abs().amax(1) > 0.5
    assert letters.flatten(1).any(1).sum() >= 10
    for flow, where in zip(batch.flow[:, 2:] - batch.flow[:, :2], letters, strict=True):
        steps = flow[:, where]
        assert (steps - steps[:, :1]).abs().sum() < 1e-3 * max(1, steps.shape[1])
        assert (steps <= 0).all()
        assert (steps.abs().amin(0) == 0).all()


@pytest.mark.parametrize(("share", "least"), [("titled", 9), ("marked", 4)])  # half of the logos are translucent
def test_subtitles_and_logos_stand_still_before_what_moves(smooth_bank: Bank, share: str, least: int) -> None:
    batch = Synthetic(smooth_bank, dataclasses.replace(WIDE, **{share: 1.0})).draw(16, 8)
    plain = Synthetic(smooth_bank, WIDE).draw(16, 8)
    stands = still(batch) & ~still(plain)
    assert stands.flatten(1).any(1).sum() >= least
    assert stands.float().mean() < 0.3
    for a, b in ((batch.left, batch.truth), (batch.right, batch.truth)):
        assert (a - b).abs().amax(1)[stands].max() < 0.002
    # All else moves as it did, and is hidden where something now lies over it.
    changed = (batch.truth != plain.truth).any(1)
    same = ~changed
    assert torch.equal(batch.flow.permute(0, 2, 3, 1)[same], plain.flow.permute(0, 2, 3, 1)[same])
    assert (batch.visible.permute(0, 2, 3, 1)[same] <= plain.visible.permute(0, 2, 3, 1)[same] + 1e-6).all()
    assert (batch.visible.permute(0, 2, 3, 1)[same] < plain.visible.permute(0, 2, 3, 1)[same] - 0.5).any()


def test_subtitles_are_bright_letters_with_dark_around_them_mostly_below(smooth_bank: Bank) -> None:
    settings = dataclasses.replace(PLAIN, height=144, width=256, layers=0, titled=1.0)
    batch = Synthetic(smooth_bank, settings).draw(40, 8)
    plain = Synthetic(smooth_bank, dataclasses.replace(settings, titled=0.0)).draw(40, 8)
    changed = (batch.truth - plain.truth).abs().amax(1) > 0.02
    share = changed.float().mean((1, 2))
    assert share.min() > 0.003
    assert share.max() < 0.5
    luma = batch.truth.mean(1)
    assert (batch.truth.amax(1).where(changed, 0.0).amax((1, 2)) > 0.6).all()
    assert (luma.where(changed, 1.0).amin((1, 2)) < 0.25).all()
    rows = torch.arange(144.0)
    middle = (changed.float().sum(2) * rows).sum(1) / changed.sum((1, 2))
    assert 0.55 < float((middle > 90).float().mean()) < 0.95
    columns = torch.arange(256.0)
    across = (changed.float().sum(1) * columns).sum(1) / changed.sum((1, 2))
    assert (across - 127.5).abs().max() < 16


def test_logos_are_small_and_in_corners(smooth_bank: Bank) -> None:
    settings = dataclasses.replace(WIDE, layers=0, marked=1.0)
    batch = Synthetic(smooth_bank, settings).draw(40, 9)
    plain = Synthetic(smooth_bank, dataclasses.replace(settings, marked=0.0)).draw(40, 9)
    changed = (batch.truth != plain.truth).any(1)
    assert changed.flatten(1).any(1).sum() >= 36
    assert not changed[:, 46:50].any()
    assert not changed[:, :, 48:112].any()
    quarters = [
        changed[:, rows, columns] for rows in (slice(48), slice(48, 96)) for columns in (slice(80), slice(80, 160))
    ]
    assert all(quarter.any() for quarter in quarters)


def test_shades_are_not_what_the_flow_is_of(smooth_bank: Bank) -> None:
    plain = Synthetic(smooth_bank, WIDE).draw(16, 13)
    shaded = Synthetic(smooth_bank, dataclasses.replace(WIDE, shaded=1.0)).draw(16, 13)
    assert torch.equal(shaded.flow, plain.flow)
    change = (shaded.truth / plain.truth.clamp(min=1 / 255)).mean(1, keepdim=True)
    brightness, own = change.log().abs(), shaded.known / plain.known
    assert (change < 0.8).any()
    assert (change > 1.1).any()
    unclipped = shaded.truth.amax(1, keepdim=True) < 0.99
    assert (own - (-brightness).exp())[unclipped].abs().max() < 0.02
    assert ((shaded.visible < plain.visible - 0.2) & (shaded.known > 0.99)).any(), "only the input is in the shade"


def test_coding_changes_all_three_frames_and_no_more(noise_bank: Bank) -> None:
    plain = Synthetic(noise_bank, WIDE).draw(6, 14)
    coded = Synthetic(noise_bank, dataclasses.replace(WIDE, compressed=1.0)).draw(6, 14)
    for name, tensor in coded.tensors().items():
        before = getattr(plain, name)
        if name in ("left", "truth", "right"):
            error = (tensor - before).square().mean((1, 2, 3)).sqrt()
            assert error.min() > 0.002
            assert error.max() < 0.15
        else:
            assert torch.equal(tensor, before), name


def test_blur_follows_motion(noise_bank: Bank) -> None:
    def sharpness(blurred: float) -> Tensor:
        batch = Synthetic(noise_bank, dataclasses.replace(PLAIN, blurred=blurred, layers=0)).draw(12, 8)
        return (batch.truth[..., 1:] - batch.truth[..., :-1]).square().mean()

    assert sharpness(1.0) < 0.93 * sharpness(0.0)


def test_blurred_scenes_keep_their_truth(smooth_bank: Bank) -> None:
    """Even motion blurs a smooth surface alike at all times."""
    batch = Synthetic(smooth_bank, dataclasses.replace(PLAIN, blurred=1.0)).draw(8, 12)
    difference, clear, _ = errors(batch)
    assert clear.float().mean() > 0.4
    assert difference.amax(2)[clear].max() < 2 * TOLERANCE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noisy": 1.5}, "noisy (1.5) must be from 0 to 1; it is a share of the samples"),
        ({"compressed": -0.1}, "compressed (-0.1) must be from 0 to 1; it is a share of the samples"),
        ({"lettered": 2}, "lettered (2) must be from 0 to 1; it is a share of the layers"),
        ({"height": 16}, "height (16) must be at least 32; give a larger number"),
        ({"layers": -1}, "layers (-1) must be at least 0; give a larger number"),
    ],
)
def test_settings_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        SyntheticSettings(**options)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_half_the_motion_is_the_same_scene_with_half_the_flow(smooth_bank) -> None:
    """Exactly so where nothing but the background moves and no bend is cut to the steepest there may be."""
    still = dataclasses.replace(PLAIN, layers=0, any_time=0.0)
    whole = Synthetic(smooth_bank, still).draw(24, 5)
    half = Synthetic(smooth_bank, dataclasses.replace(still, motion=0.5)).draw(24, 5)
    off = (half.flow - whole.flow / 2).abs().amax((1, 2, 3))
    assert (off < 1e-3).float().mean() > 0.6
    lengths = [batch.flow.norm(dim=1).mean((1, 2)) for batch in (half, whole)]
    assert float((lengths[0] / lengths[1].clamp(min=1e-6))[lengths[1] > 0.1].mean()) == pytest.approx(0.5, abs=0.03)
    none = Synthetic(smooth_bank, dataclasses.replace(still, layers=2, motion=0.0, scrolled=1.0)).draw(6, 5)
    assert not none.flow.any()
