import math

import pytest

from maskjax.evaluation.figures import figure_pixels
from maskjax.evaluation.figures.ranges import ranges_panel


def test_each_line_is_the_mean_in_a_band_from_least_to_most():
    figure = ranges_panel(
        {
            "accuracy": {"a $x$": {10: [0.5, 0.7], 2: [0.2]}, "b": {2: [0.5, math.nan], 10: []}},
            "loss": {"b": {2: [1.0]}},
            "nothing": {"a $x$": {}},
        },
        levels={"accuracy": {"dense": 0.9}},
        along="steps",
        title="a study",
    )
    axes, other = figure.axes  # a metric without numbers has no panel
    mean, level = axes.lines
    assert mean.get_xydata().tolist() == [[2, 0.2], [10, 0.6]]
    assert level.get_ydata() == [0.9, 0.9]
    (band,) = axes.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert {(10, 0.5), (10, 0.7), (2, 0.2)} <= corners
    assert axes.get_xlabel() == "steps"
    assert other.lines[0].get_color() != mean.get_color()  # a line is of one colour in all panels
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a $x$", "dense", "b"]
    assert len(figure_pixels(figure))


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="one metric with one finite number"):
        ranges_panel({"loss": {"a": {1: [math.nan]}}}, along="step")
