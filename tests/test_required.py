"""tests/gpu without what it needs: skipped, and failed where a variable says that the machine has it."""

from types import SimpleNamespace

import pytest
import vapoursynth as vs

from tests.gpu.conftest import missing
from tests.gpu.test_resident_gpu import vulkan_device


def without_vulkan():
    """A core on a machine without a loader of Vulkan."""

    def refuse(**_options):
        raise vs.Error("Failed to load the Vulkan loader, tried: libvulkan.so.1")

    return SimpleNamespace(std=SimpleNamespace(BlankClip=refuse))


@pytest.mark.parametrize("required", [None, "GPU", "VULKAN"])
@pytest.mark.parametrize(
    ("what", "ask"),
    [("GPU", lambda: missing("GPU", "torch sees none")), ("VULKAN", lambda: vulkan_device(without_vulkan()))],
)
def test_only_what_is_required_fails(monkeypatch, required, what, ask):
    for each in ("GPU", "VULKAN"):
        monkeypatch.delenv(f"VSRIFE_REQUIRE_{each}", raising=False)
    if required:
        monkeypatch.setenv(f"VSRIFE_REQUIRE_{required}", "1")
    outcome = pytest.fail.Exception if required == what else pytest.skip.Exception
    with pytest.raises(outcome):
        ask()
