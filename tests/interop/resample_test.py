"""Positions resampled as PyTorch does (tests/interop/record.py); channels by definition."""

import numpy as np
import pytest

from maskjax.interop.resample import change_channels, resample_positions


@pytest.mark.parametrize("how", ["plain", "antialias"])
@pytest.mark.parametrize("new", [(9, 8), (2, 3), (4, 5)])
def test_tables_equal_those_of_pytorch(outputs, new, how):
    found = resample_positions(outputs["table"], (4, 7), new, antialias=how == "antialias")
    np.testing.assert_allclose(found, outputs[f"table/{new[0]}x{new[1]}/{how}"], atol=2e-6)


@pytest.mark.parametrize("antialias", [False, True])
def test_the_same_grid_keeps_a_table_and_a_constant_stays_one_on_any_axes(antialias):
    table = np.random.default_rng(0).normal(size=(1, 24, 5)).astype(np.float32)
    same = resample_positions(table, (2, 3, 4), (2, 3, 4), antialias=antialias)
    np.testing.assert_allclose(same, table, atol=1e-7)
    ones = resample_positions(np.ones((1, 24, 5)), (2, 3, 4), (5, 2, 7), antialias=antialias)
    np.testing.assert_allclose(ones, np.ones((1, 70, 5)), atol=1e-6)


def test_a_picture_of_equal_channels_gives_what_it_gave():
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=(4 * 3, 6)).astype(np.float32)
    grey = rng.normal(size=(2, 4)).astype(np.float32)
    before = np.repeat(grey[..., None], 3, -1).reshape(2, -1) @ kernel
    for new, how in ((1, "mean"), (5, "mean"), (6, "repeat")):
        changed = change_channels(kernel, 3, new, how)
        after = np.repeat(grey[..., None], new, -1).reshape(2, -1) @ changed
        np.testing.assert_allclose(after, before, atol=1e-5, err_msg=f"{new} {how}")


def test_first_keeps_the_channels_that_there_are():
    kernel = np.arange(12, dtype=np.float32).reshape(2 * 3, 2)
    np.testing.assert_array_equal(change_channels(kernel, 3, 2, "first"), kernel[[0, 1, 3, 4]])
    wider = change_channels(kernel, 3, 4, "first")
    np.testing.assert_array_equal(wider[[0, 1, 2, 4, 5, 6]], kernel)
    np.testing.assert_array_equal(wider[[3, 7]], np.zeros((2, 2)))
    with pytest.raises(ValueError, match="'sum' is not known: use one of"):
        change_channels(kernel, 3, 4, "sum")
