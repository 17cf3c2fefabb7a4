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


def test_marks_stand_in_the_rows_with_a_legend():
    values = {"loss": {"a": {0: 1.0}, "b": {0: 2.0}}, "other": {"a": {0: 1.0}, "b": {}}}
    figure = comparison_panel(values, marks={"loss": {"bound": {"b": 0.5}}})
    loss, other = figure.axes
    assert loss.lines[-1].get_xydata().tolist() == [[0.5, 1]]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["bound"]
    assert other.get_legend() is None


def test_a_fifth_metric_begins_a_line_with_names_of_its_own():
    values = {str(metric): {"a": {0: 1.0}, "b": {0: 2.0}} for metric in range(5)}
    axes = comparison_panel(values, marks={"0": {"bound": {"b": 0.5}}}).axes
    names = [[label.get_text() for label in each.get_yticklabels()] for each in axes]
    assert names == [["a", "b"], ["", ""], ["", ""], ["", ""], ["a", "b"]]
    boxes = [each.get_position() for each in axes]
    assert boxes[4].x0 == boxes[0].x0 < boxes[1].x0
    assert boxes[4].y1 < boxes[0].y0 == boxes[3].y0


@pytest.mark.parametrize(
    ("numbers", "low", "high"),
    [
        ([0.09999, 0.10001], 0.09975, 0.10025),  # a two hundredth of the largest
        ([0.0, 0.0], 0.0, 1.0),
        ([], 0.0, 1.0),
        ([0.5, 0.75], 0.5, 0.75),
        ([-2.0, 0.0], -2.0, 0.0),
    ],
)
def test_numbers_that_hardly_differ_are_not_torn_apart(numbers, low, high):
    values = {"sparsity": {"a": dict(enumerate(numbers))}}
    (axes,) = comparison_panel(values).axes
    margin = 0.08 * (high - low)
    np.testing.assert_allclose(axes.get_xlim(), (low - margin, high + margin), rtol=1e-3)


def test_a_title_that_is_too_long_loses_its_middle_and_not_the_next_panel():
    names = [f"overlap, method=rigl,sparsity=0.95,density=erk,seed={seed}" for seed in range(2)]
    figure = comparison_panel({name: {"head/kernel": {0: 0.5}} for name in names})
    figure_pixels(figure)
    first, second = (axes._left_title for axes in figure.axes)
    assert [title.get_text()[-7:] for title in (first, second)] == [",seed=0", ",seed=1"]
    assert first.get_window_extent().x1 < second.get_window_extent().x0
    assert second.get_window_extent().x1 < figure.bbox.x1
