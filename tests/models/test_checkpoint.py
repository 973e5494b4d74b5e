import hashlib
import io
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from tests.models.loading import fails, official
from tests.network.legacy.networks import PAPER, V3, answer
from tests.network.legacy.networks import small as small_legacy
from tests.network.small import ARCHITECTURES, frames, infer, network
from vsrife.models import checkpoint, store
from vsrife.models.catalogue import CATALOGUE
from vsrife.models.checkpoint import files_of, load, read_state
from vsrife.network.legacy.architecture import V3Architecture
from vsrife.network.legacy.paper import PaperNet
from vsrife.network.teacher import IFNetWithTeacher


def small_state(name="G"):
    return dict(network(name).state_dict())


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".pt", ".safetensors", ".PKL"])
def test_round_trip(name, suffix, tmp_path):
    before = network(name)
    path = tmp_path / f"some name{suffix}"
    if suffix == ".safetensors":
        save_file(before.state_dict(), path)
    else:
        torch.save(official(before.state_dict()), path)
    after = load(path)
    assert after.architecture == before.architecture
    assert not after.training
    assert not any(value.requires_grad for value in after.parameters())
    left, right = frames(128, 128)
    assert torch.equal(infer(before, left, right).flow, infer(after, left, right).flow)


def test_a_loaded_network_can_be_moved_and_halved(tmp_path):
    path = tmp_path / "x.pkl"
    torch.save(official(small_state("J")), path)
    assert load(path).half().dtype == torch.float16


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({key: value.to(dtype) for key, value in small_state().items()}, path)
    state = read_state(path)
    assert {value.dtype for value in state.values()} == {torch.float32}
    assert torch.equal(state["block0.conv0.0.0.weight"], small_state()["block0.conv0.0.0.weight"].to(dtype).float())
    assert load(path).dtype == torch.float32


def test_the_old_format_of_torch_is_read(tmp_path):
    path = tmp_path / "x.pkl"
    torch.save(official(small_state()), path, _use_new_zipfile_serialization=False)
    assert load(path).architecture == ARCHITECTURES["G"]


def test_what_training_left_is_ignored_by_name(tmp_path):
    extras = {
        f"module.{part}.conv.weight": torch.zeros(2, 2)
        for part in ("block_tea", "contextnet", "unet", "teacher", "caltime")
    }
    path = tmp_path / "x.pkl"
    torch.save({**official(small_state("A")), **extras}, path)
    assert load(path).architecture == ARCHITECTURES["A"]


@pytest.mark.parametrize("key", ["teacher2.weight", "block4x.weight", "block0.convblock.8.conv.weight", "unetx.weight"])
def test_any_other_key_is_an_error(key, tmp_path):
    text = fails(tmp_path / "x.pkl", {**small_state(), key: torch.zeros(1)})
    assert f"has, beyond what the network has, 1 key: {key}" in text
    assert "choose a model by name" in text


def test_missing_keys_are_an_error(tmp_path):
    state = {key: value for key, value in small_state().items() if not key.startswith("block2.convblock.3")}
    text = fails(tmp_path / "x.pkl", state)
    assert "misses 3 keys: block2.convblock.3.beta, block2.convblock.3.conv.bias" in text


def test_many_keys_are_counted(tmp_path):
    state = {key: value for key, value in small_state().items() if not key.startswith("block2.convblock")}
    assert "misses 24 keys: block2.convblock.0.beta, " in fails(tmp_path / "x.pkl", state)


def test_a_wrong_shape_is_an_error(tmp_path):
    state = {**small_state(), "block1.conv0.0.0.bias": torch.zeros(7)}
    text = fails(tmp_path / "x.pkl", state)
    assert "has in a wrong shape 1 key: block1.conv0.0.0.bias [7] instead of [6]" in text


def test_a_key_twice_is_an_error(tmp_path):
    state = small_state()
    text = fails(tmp_path / "x.pkl", {**state, "module.block0.conv0.0.0.bias": state["block0.conv0.0.0.bias"]})
    assert "has block0.conv0.0.0.bias twice" in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_an_error(value, tmp_path):
    state = small_state()
    state["block3.lastconv.0.bias"][3] = value
    assert "not finite in block3.lastconv.0.bias" in fails(tmp_path / "x.pkl", state)


@pytest.mark.parametrize(
    "state",
    [
        {"weight": torch.zeros(3)},
        {f"block{index}.conv0.1.0.weight": torch.zeros(8, 4, 3, 3) for index in range(6)},
        {f"block{index}.conv0.1.0.weight": torch.zeros(()) for index in range(4)},
        {f"block{index}.conv0.1.0.weight": torch.zeros(7, 4, 3, 3) for index in range(4)}
        | {"block0.lastconv.weight": torch.zeros(7, 5, 4, 4)},
        {f"block{index}.conv0.1.0.weight": torch.zeros(8, 4, 3, 3) for index in range(4)}
        | {"block0.lastconv.weight": torch.zeros(8, 6, 4, 4)},
    ],
    ids=["foreign", "six blocks", "no shape", "odd width", "unknown outputs"],
)
def test_other_networks_are_refused(state, tmp_path):
    text = fails(tmp_path / "x.pkl", state)
    assert "is not a network of RIFE" in text or "RIFE 4.x networks have 4 or 5" in text
    assert "python -m vsrife models" in text


class Bomb:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return open, (self.target, "w")


@pytest.mark.parametrize("kind", ["pickle", "torch", "old torch"])
def test_code_in_a_pickle_never_runs(kind, tmp_path):
    """Case 33."""
    crater, path = tmp_path / "crater", tmp_path / "x.pkl"
    state = {**small_state(), "bomb": Bomb(crater)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"bomb": Bomb(crater)}, protocol=2))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "torch")
    text = fails(path)
    assert "never run" in text
    assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    assert not crater.exists()


HTML = b"\n<!DOCTYPE html><html><body>Sign in</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (b"", "is empty"),
        (HTML, "is a web page"),
        (POINTER, "is a Git LFS pointer"),
        (b"\x00" * 4096, "damaged"),
        (b"PK\x03\x04" + b"\x07" * 500, "damaged"),
        (pickle.dumps({"a": 1}), "damaged"),
        (bytes(range(256)) * 9, "damaged"),
    ],
)
@pytest.mark.parametrize("suffix", [".pkl", ".safetensors"])
def test_what_is_no_checkpoint_is_named(content, flaw, suffix, tmp_path):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    text = fails(path)
    assert flaw in text
    assert f"sha256 is {hashlib.sha256(content).hexdigest()}, expected one that is not known" in text


@pytest.mark.parametrize(
    "tensor", [torch.empty(16, 3, 3, 3, device="meta"), torch.zeros(1).expand(10**10)], ids=["meta", "expanded"]
)
def test_a_tensor_that_the_file_does_not_hold_is_refused_before_it_takes_memory(tensor, tmp_path):
    text = fails(tmp_path / "x.pkl", {**official(small_state()), "module.block1.conv0.0.0.weight": tensor})
    assert "must hold whole tensors, but the file has less of block1.conv0.0.0.weight than" in text


def test_the_way_out_of_a_bad_file_that_was_taken_for_good(tmp_path, monkeypatch):
    """Put there by hand, of a version without a published sum, and recorded by fetch since it begins well."""
    monkeypatch.setenv("VSRIFE_MODELS", str(tmp_path))
    path = tmp_path / "flownet_v4.22.pkl"
    path.write_bytes(b"PK\x03\x04" + b"\x07" * 5000)
    assert store.fetch("4.22") == path
    text = fails(path)
    assert "delete it and flownet_v4.22.pkl.json beside it, then fetch it again: python -m vsrife models fetch" in text


@pytest.mark.parametrize("suffix", [".pkl", ".safetensors"])
@pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(suffix, part, tmp_path):
    """Case 32."""
    path = tmp_path / f"flownet_v4.26{suffix}"
    if suffix == ".safetensors":
        save_file(small_state(), path)
    else:
        torch.save(small_state(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    text = fails(path)
    assert f"sha256 is {hashlib.sha256(path.read_bytes()).hexdigest()}, expected " in text
    if suffix == ".pkl":
        assert f"expected {CATALOGUE['4.26'].sha256}" in text
        assert "python -m vsrife models fetch 4.26" in text


@pytest.mark.parametrize("content", [[torch.zeros(1)], {}, {"a": 1}, {1: torch.zeros(1)}, {"a": {"b": torch.zeros(1)}}])
def test_anything_but_tensors_by_key_is_refused(content, tmp_path):
    assert "must hold tensors by key" in fails(tmp_path / "x.pkl", content)


def test_only_floating_point_tensors_are_taken(tmp_path):
    text = fails(tmp_path / "x.pkl", {"a": torch.zeros(3, dtype=torch.int64)})
    assert "must hold dense floating-point tensors, but a is torch.int64" in text


def test_a_zip_of_something_else_is_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("hello.txt", "hello")
    path = tmp_path / "x.pth"
    path.write_bytes(buffer.getvalue())
    assert "damaged or of another kind" in fails(path)


def test_wrong_names_and_folders(tmp_path):
    (tmp_path / "folder.pkl").mkdir()
    assert "cannot be read" in fails(tmp_path / "folder.pkl")
    assert "cannot be read" in fails(tmp_path / "absent.pkl")
    (tmp_path / "x.onnx").write_bytes(b"0")
    assert "must end in .pkl, .pth, .pt, .safetensors" in fails(tmp_path / "x.onnx")


def test_a_file_of_the_cache_must_have_its_sum(tmp_path, monkeypatch):
    monkeypatch.setenv("VSRIFE_MODELS", str(tmp_path))
    path = tmp_path / "flownet_v4.26.pkl"
    torch.save(small_state(), path)
    text = fails(path)
    assert "is damaged; sha256 is" in text
    assert CATALOGUE["4.26"].sha256 in text
    monkeypatch.setenv("VSRIFE_MODELS", str(tmp_path / "elsewhere"))
    assert load(path).architecture == ARCHITECTURES["G"]  # a file of the user's own may be called as it likes


def test_a_recorded_sum_is_held_to(tmp_path, monkeypatch):
    monkeypatch.setenv("VSRIFE_MODELS", str(tmp_path))
    path = tmp_path / "flownet_v4.9.pkl"
    torch.save(small_state(), path)
    store.record_path(path).write_text(f'{{"sha256": "{store.digest_of(path)}"}}')
    assert load(path).architecture == ARCHITECTURES["G"]
    with path.open("ab") as stream:
        stream.write(b"\0")
    assert "is damaged" in fails(path)
    store.record_path(path).write_text("not json")
    assert "has a record that cannot be read" in fails(path)


def test_out_of_memory_is_not_called_a_damaged_file(tmp_path, monkeypatch):
    def exhausted(*_args, **_options):
        raise MemoryError

    torch.save(small_state(), tmp_path / "x.pkl")
    monkeypatch.setattr(checkpoint.torch, "load", exhausted)
    with pytest.raises(MemoryError):
        read_state(tmp_path / "x.pkl")


def waves(shift):
    """A picture 192x128, moved to the right."""
    y = torch.arange(128.0).view(1, 1, -1, 1)
    at = torch.arange(192.0).view(1, 1, 1, -1) - shift
    tint = torch.tensor([1.0, 0.9, 0.7]).view(1, 3, 1, 1)
    return tint * (0.5 + 0.2 * torch.sin(at / 5 + y / 9) + 0.2 * torch.sin(at / 13 - y / 6))


def test_the_official_4_0(shared):
    """Its sum, and that it interpolates: a picture that moves by 10 pixels is 5 pixels further in the middle."""
    path = shared / "weights" / "flownet_v4.0.pkl"
    assert store.digest_of(path) == CATALOGUE["4.0"].sha256
    assert path.stat().st_size == CATALOGUE["4.0"].size
    net = load(path)
    left, middle, right = waves(0), waves(5), waves(10)
    with torch.inference_mode():
        made = net.merge(left, right, infer(net, left, right))
    inner = (..., slice(16, -16), slice(16, -16))
    error = (made - middle)[inner].square().mean()
    blend = ((left + right) / 2 - middle)[inner].square().mean()
    assert -10 * error.log10() > 35
    assert -10 * blend.log10() < 27


# The networks before 4.0.

NAMES = {"rife_large_2r": "RIFE-Large.pkl"}
METADATA = {"rife_large_2r": {"variant": "large"}}
LEGACY = pytest.mark.parametrize("kind", [*PAPER, *V3])


@LEGACY
@pytest.mark.parametrize("by_name", [True, False])
def test_legacy_networks_round_trip(kind, by_name, tmp_path):
    before = small_legacy(kind, teacher=kind in PAPER)
    path = tmp_path / (NAMES.get(kind, "x.pkl") if by_name else "x.safetensors")
    state = {key: value.clone() for key, value in before.state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(state, path, METADATA.get(kind))
    else:
        torch.save(official(state), path)
    after = load(path)
    assert after.architecture == before.architecture == {**PAPER, **V3}[kind]
    assert type(after) is type(before)
    assert not after.training
    assert not any(value.requires_grad or "block_tea" in key for key, value in after.named_parameters())
    left, right = frames(64, 96)
    assert torch.equal(answer(after, left, right)[1], answer(before, left, right)[1])


@LEGACY
def test_a_key_too_many_or_too_few_or_of_a_wrong_shape_is_an_error(kind, tmp_path):
    state, path = dict(small_legacy(kind).state_dict()), tmp_path / NAMES.get(kind, "x.pkl")
    assert "has, beyond what the network has, 1 key: block1.x" in fails(path, {**state, "block1.x": torch.ones(1)})
    key = "block1.conv0.1.1.weight"
    assert f"in a wrong shape 1 key: {key} [3] instead of" in fails(path, {**state, key: torch.ones(3)})
    del state[key]
    assert f"misses 1 key: {key}" in fails(path, state)


@pytest.mark.parametrize(
    "state",
    [
        {"block0.lastconv.weight": torch.zeros(8, 5, 4, 4)},
        {"block0.convblock0.0.0.weight": torch.zeros(8, 8, 3, 3)},
        {"block0.conv2.weight": torch.zeros(8, 1, 4, 4), "block0.convblock0.0.0.weight": torch.zeros(8, 8, 3, 3)},
        {
            "block0.lastconv.weight": torch.zeros(8, 5, 4, 4),
            "block0.conv0.0.0.weight": torch.zeros(3, 6, 3, 3),
            "block0.conv0.1.0.weight": torch.zeros(7, 3, 3, 3),
        },
        {
            "block0.conv2.weight": torch.zeros(8, 1, 4, 4),
            "block0.convblock0.0.0.weight": torch.zeros(8, 8, 3, 3),
            "block0.conv0.1.0.weight": torch.zeros(7, 3, 3, 3),
        },
    ],
    ids=["no block", "neither of 3.x", "no width", "odd width", "odd width of 3.x"],
)
def test_what_only_begins_like_a_legacy_network_is_refused(state, tmp_path):
    assert fails(tmp_path / "x.pkl", state).count("model (") == 1


def test_3_1_is_three_files_or_one(tmp_path):
    net = small_legacy("3.1")
    parts = {"flownet": {}, "contextnet": {}, "unet": {}}
    for key, value in net.state_dict().items():
        part, rest = key.split(".", 1)
        parts[part if part in parts else "flownet"][f"module.{rest if part in parts else key}"] = value
    path = tmp_path / "flownet_v3.1.pkl"
    torch.save(parts["flownet"], path)
    text = fails(path)
    assert "is one of the three files of RIFE 3.1 and lacks contextnet_v3.1.pkl beside it" in text
    assert "python -m vsrife models fetch 3.1" in text
    for part in ("contextnet", "unet"):
        torch.save(parts[part], tmp_path / f"{part}_v3.1.pkl")
    left, right = frames(64, 96)
    assert torch.equal(answer(load(path), left, right)[1], answer(net, left, right)[1])
    assert files_of(path) == [path, tmp_path / "contextnet_v3.1.pkl", tmp_path / "unet_v3.1.pkl"]
    torch.save(parts["flownet"], tmp_path / "x.pkl")
    for part in ("contextnet", "unet"):
        assert "is a part of RIFE 3.1; pass the file with flownet" in fails(tmp_path / f"{part}_v3.1.pkl")
    assert "its name must have flownet in it" in fails(tmp_path / "x.pkl")


def test_the_teacher_is_read_for_training_alone(tmp_path):
    before = small_legacy("rife", teacher=True)
    path = tmp_path / "x.pkl"
    torch.save(official(before.state_dict()), path)
    assert not any(key.startswith("block_tea") for key in read_state(path))
    after = PaperNet(before.architecture, teacher=True)
    after.load_state_dict(read_state(path, teacher=True), strict=True)


def test_a_teacher_in_a_checkpoint_of_the_4_x_line_is_ignored(tmp_path):
    with_teacher = IFNetWithTeacher(network("J"))
    own = with_teacher.network.state_dict()
    teacher = {f"teacher.{key}": value for key, value in with_teacher.teacher.state_dict().items()}
    path = tmp_path / "x.pkl"
    torch.save({**own, **teacher}, path)
    assert set(load(path).state_dict()) == set(own)
    assert set(read_state(path, teacher=True)) == {*own, *teacher}


def test_the_official_3_8_runs(shared):
    """A picture that moves by 10 pixels is 5 pixels further in the middle."""
    net = load(shared / "weights" / "flownet_v3.8.pkl")
    assert net.architecture == V3Architecture(version="3.8", width=90)
    left, middle, right = waves(0), waves(5), waves(10)
    inner = (..., slice(16, -16), slice(16, -16))
    error = (answer(net, left, right)[1] - middle)[inner].square().mean()
    assert -10 * error.log10() > 35
