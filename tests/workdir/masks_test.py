"""How much of masks changes from line to line, and files of masks."""

import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.workdir.masks import (
    MASKS,
    Changes,
    changes_by_leaf,
    read_all,
    read_masks,
    without_layers,
    write_masks,
)


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


def test_a_file_has_the_masks_and_names_the_leaves_without_one(tmp_path):
    kept = np.random.default_rng(0).random((3, 7)) < 0.5
    write_masks(tmp_path, {"a": {"kernel": kept, "bias": None}})
    assert read_all(str(tmp_path)).keys() == {"a/kernel", "a/bias"}
    assert read_all(str(tmp_path))["a/bias"] is None
    found = read_masks(str(tmp_path / MASKS))
    assert found.keys() == {"a/kernel"}
    np.testing.assert_array_equal(found["a/kernel"], kept)


@pytest.mark.parametrize("damage", ["cut off", "other bytes", "too few bits", "numbers", "empty"])
def test_a_damaged_file_is_refused_in_a_line(tmp_path, damage):
    path = tmp_path / MASKS
    write_masks(tmp_path, {"a": {"kernel": np.random.default_rng(0).random((64, 64)) < 0.5}})
    content = path.read_bytes()
    half = len(content) // 2
    if damage == "cut off":
        path.write_bytes(content[:half])
    elif damage == "other bytes":
        path.write_bytes(content[:half] + bytes(16) + content[half + 16 :])
    elif damage == "too few bits":
        np.savez(path, **{"a": np.zeros(3, np.uint8), "a:shape": np.array([64, 64])})
    elif damage == "numbers":
        np.savez(path, **{"a": np.zeros(2), "a:shape": np.array([4, 4])})
    else:
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"param_masks.file '.*' cannot be read .*: give") as it:
        read_masks(str(tmp_path))
    assert "\n" not in str(it.value)
