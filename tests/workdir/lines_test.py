"""Numbers of a run that its lines say together."""

import math

import pytest

from maskjax.workdir.lines import grad_norm_spikes


def _lines(norms):
    return [{"split": "train", "step": i, "grad_norm": norm} for i, norm in enumerate(norms)]


@pytest.mark.parametrize(
    ("norms", "expected"),
    [
        ([1.0] * 5, None),  # none has five before it
        ([1, 2, 3, 4, 5, 9.0], 0.0),  # the median is 3, and 9 is not above
        ([1, 2, 3, 4, 5, 9.1], 1.0),
        ([100, 1, 1, 1, 1, 4, 2], 0.5),  # a median does not follow the first
        ([1] * 5 + [None, 1, 1], 1 / 3),  # not finite
        ([10] * 50 + [1] * 26 + [4], 1 / 72),  # of the 50 before the last, 24 are 10
    ],
)
def test_leaps_are_above_three_medians_of_what_was_before(norms, expected):
    others = [{"split": "validation", "step": 3, "grad_norm": 1e9}, {"split": "train", "step": 1}]
    assert grad_norm_spikes([*others, *_lines(norms)]) == (
        None if expected is None else pytest.approx(expected)
    )


def test_a_slow_fall_is_no_leap():
    assert grad_norm_spikes(_lines([math.exp(-i / 10) for i in range(200)])) == 0
