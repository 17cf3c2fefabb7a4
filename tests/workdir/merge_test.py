"""Saved leaves in the places of fresh ones; the rest of it is tested by a run's init_from."""

import numpy as np
import pytest

from maskjax.spelling import listed
from maskjax.workdir.merge import filled, renamed


def test_an_error_names_what_each_side_lacks_and_what_has_another_shape_or_type():
    ours = {"a": np.zeros(2, np.float32), "b": np.zeros((2, 3), np.float32), "c": np.zeros(1)}
    theirs = {"b": np.zeros((3, 2), np.float32), "c": np.zeros(1, np.float32), "d": np.zeros(4)}
    with pytest.raises(ValueError) as error:
        filled(ours, theirs, "there")
    assert (
        "it lacks a, has besides d, has in another shape b float32[3, 2], here float32[2, 3]; "
        "c float32[1], here float64[1]; set"
    ) in str(error.value)


def test_what_begins_anew_is_not_asked_for_and_all_else_is_theirs():
    ours = {"encoder": {"w": np.zeros(2)}, "head": np.full(3, 7.0)}
    merged = filled(ours, {"encoder": {"w": np.ones(2)}}, "there", {"head": ours["head"]})
    np.testing.assert_array_equal(merged["encoder"]["w"], [1, 1])
    np.testing.assert_array_equal(merged["head"], [7, 7, 7])


def test_paths_are_renamed_in_turn():
    pairs = (("^vit/", "encoder/"), (r"layer_(\d)", r"block0\1"))
    assert renamed({"vit/layer_1/w": 1, "head": 2}, pairs) == {"encoder/block01/w": 1, "head": 2}
    with pytest.raises(ValueError, match="two leaves the same path"):
        renamed({"a": 1, "b": 2}, (("a|b", "c"),))


def test_of_many_names_the_first_five_are_listed():
    assert listed(list("abcde")) == "a; b; c; d; e"
    assert listed(list("abcdefg")) == "a; b; c; d; e and 2 more"
