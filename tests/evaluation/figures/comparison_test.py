import math

import numpy as np
import pytest

from maskjax.evaluation.figures import figure_pixels
from maskjax.evaluation.figures.comparison import comparison_panel


def test_every_run_is_a_dot_in_its_setting_s_row_and_the_mean_a_line():
    figure = comparison_panel(
        {
            "accuracy": {"random": {0: 0.5, 1: 0.75}, "block $x$": {0: 0.25}},
            "loss": {"random": {0: 2.0, 1: math.nan}, "block $x$": {}},
        },
        title="a study",
    )
    accuracy, loss = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["accuracy", "loss"]
    assert [label.get_text() for label in accuracy.get_yticklabels()] == ["random", "block $x$"]
    drawn = [line.get_xydata().tolist() for line in accuracy.lines]
    assert drawn[0] == [[0.5, 0], [0.75, 0]]
    np.testing.assert_allclose([x for x, _ in drawn[1]], 0.625)  # the mean of both
    assert drawn[2] == [[0.25, 1]]
    assert loss.lines[0].get_xydata().tolist() == [[2.0, 0]]  # without the run that diverged
    assert len(figure_pixels(figure))


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="at least one metric with one setting"):
        comparison_panel({"loss": {}})
