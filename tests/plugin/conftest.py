"""What tests of the plugin share."""

import pytest
import vapoursynth as vs

from vsrife.plugin import vsapi

core = vs.core


@pytest.fixture
def logged():
    """The lines that VapourSynth logs, as they come."""
    lines = []
    handle = core.add_log_handler(lambda kind, text: lines.append(text))
    vsapi._logged.clear()
    yield lines
    core.remove_log_handler(handle)
