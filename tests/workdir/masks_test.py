"""How much of masks changes from line to line."""

import jax.numpy as jnp
import pytest

from maskjax.workdir.masks import Changes, changes_by_leaf, without_layers


def _masks(first, second):
    return {"a": {"kernel": jnp.array(first)}, "b": None, "c": jnp.array(second)}


def test_changes_are_counted_from_line_to_line_of_each_leaf_and_of_all():
    changes = Changes(_masks([[True] * 5, [False] * 5], [0.5, 0.0]))
    same = changes.since(_masks([[True] * 5, [False] * 5], [0.25, 0.0]))  # 0.25 is kept too
    assert same == {"mask_changes": 0, "mask_changes/a/kernel": 0, "mask_changes/c": 0}
    # Ten bits fill more than a byte: the last of them is seen too.
    flipped = [[True] * 4 + [False], [False] * 4 + [True]]
    found = changes.since(_masks(flipped, [0.5, 1.0]))
    assert found == {
        "mask_changes": pytest.approx(3 / 12),
        "mask_changes/a/kernel": pytest.approx(2 / 10),
        "mask_changes/c": 0.5,
    }
    assert changes.since(_masks(flipped, [0.5, 1.0]))["mask_changes"] == 0
    assert without_layers(found) == {"mask_changes": 0.25}
    lines = [{"step": 2, "loss": 1.0}, {"step": 4, **found}]
    assert changes_by_leaf(lines) == {"a/kernel": {4: pytest.approx(0.2)}, "c": {4: 0.5}}
