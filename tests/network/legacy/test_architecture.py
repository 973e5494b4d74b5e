"""The hyperparameters of the networks before 4.0."""

import pytest

from vsrife.errors import ArgumentError
from vsrife.network.legacy.architecture import PaperArchitecture, V3Architecture, V3Version


@pytest.mark.parametrize(
    ("build_it", "complaint"),
    [
        (lambda: PaperArchitecture(widths=(8,)), r"scales .* must be one for each"),
        (lambda: PaperArchitecture(widths=(8, 7, 8)), r"widths .* must be even"),
        (lambda: PaperArchitecture(context=-1), r"context \(-1\) must be 0"),
        (lambda: V3Architecture(version=V3Version.V35, width=7), r"width \(7\) must be an even"),
        (
            lambda: V3Architecture(version=V3Version.V35, context=2),
            r"context \(2\) must be above 0 for 3\.1, and 0 for",
        ),
        (lambda: V3Architecture(version=V3Version.V31), r"context \(0\) must be above 0 for 3\.1, and 0 for"),
    ],
)
def test_an_architecture_that_contradicts_itself_is_refused(build_it, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        build_it()
