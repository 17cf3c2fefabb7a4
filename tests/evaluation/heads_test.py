"""Of several heads the one speaks for all that is most accurate where it may be chosen."""

import jax
import numpy as np
import pytest

from maskjax.evaluation.classification import Confusion
from maskjax.evaluation.heads import Heads, most_accurate
from maskjax.evaluation.metrics import numbers, tables

# Rows are true classes: 6, 7 and 7 of 10 right.
COUNTS = {
    "x1": np.array([[3.0, 2.0], [2.0, 3.0]]),
    "x3": np.array([[5.0, 0.0], [3.0, 2.0]]),
    "x10": np.array([[2.0, 3.0], [0.0, 5.0]]),
}


def _heads(*names):
    return {"": Heads({name: {"": Confusion(COUNTS[name])} for name in names})}


def test_the_most_accurate_one_speaks_and_every_accuracy_is_told():
    found = numbers(_heads("x1", "x3"))
    assert found["accuracy"] == found["accuracy_x3"] == 0.7
    assert found["accuracy_x1"] == 0.6
    assert found["recall_macro"] == pytest.approx((5 / 5 + 2 / 5) / 2)
    alone = tables(_heads("x1", "x3"), ("cat", "dog"))
    assert alone["confusion"].values.tolist() == COUNTS["x3"].tolist()
    heads = alone["heads"].as_dict()
    assert [*heads] == ["x3", "x1"]
    assert heads["x1"]["recall_macro"] == pytest.approx(0.6)


def test_of_equal_ones_it_is_the_same_that_was_chosen_from_the_log():
    found = numbers(jax.tree.map(lambda x: x, _heads("x3", "x1", "x10")))
    assert most_accurate(COUNTS, found) == "x10"
    assert found["recall_macro"] == pytest.approx((2 / 5 + 5 / 5) / 2)
    assert next(iter(tables(_heads("x3", "x1", "x10"))["heads"].rows)) == "x10"
    assert most_accurate(COUNTS, {"accuracy_x1": None, "accuracy_x3": float("nan")}) == ""
    nothing = Heads({name: {"": Confusion(np.zeros((2, 2)))} for name in ("b", "a")})
    assert np.isnan(nothing.numbers("")["accuracy"])
