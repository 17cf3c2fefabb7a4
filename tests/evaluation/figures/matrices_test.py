"""Confusions are drawn with their counts, shares and names."""

import numpy as np
import pytest

from maskjax.evaluation.figures import confusion_matrix
from maskjax.evaluation.metrics import Table

NAMES = ("no", "perhaps", "yes")
COUNTS = np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0], [2.0, 0.0, 6.0]])


def test_cells_hold_the_counts_and_the_colours_are_shares_of_the_true_class():
    figure = confusion_matrix(Table(NAMES, NAMES, COUNTS), "Confusion, test")
    (axes,) = figure.axes
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "3", (1, 0): "1", (0, 2): "2", (2, 2): "6"}  # (column, row)
    shares = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(shares, [[0.75, 0.25, 0], [np.nan] * 3, [0.25, 0, 0.75]])
    assert [label.get_text() for label in axes.get_yticklabels()] == list(NAMES)
    words = " ".join(text.get_text() for text in figure.texts)
    assert "Confusion, test" in words
    assert "without examples" in words


@pytest.mark.parametrize(("count", "names", "numbers"), [(25, 25, 25), (40, 40, 0), (90, 0, 0)])
def test_many_classes_are_drawn_without_numbers_and_very_many_without_names(count, names, numbers):
    classes = [f"class_{number}" for number in range(count)]
    (axes,) = confusion_matrix(Table(classes, classes, np.eye(count)), "").axes
    assert len(axes.texts) == numbers
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert sum(label in classes for label in labels) == names
