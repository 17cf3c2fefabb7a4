"""Numbers that stand beside examples, and labels that are none of the classes."""

import numpy as np
import pytest

from maskjax import data
from maskjax.data.image.arrays import ArraySource
from maskjax.data.pipeline import Loader


@pytest.fixture
def open_file(tmp_path):
    def open_file(**arrays):
        rng = np.random.default_rng(0)
        np.savez(tmp_path / "x.npz", x=rng.random((40, 4, 4)), **arrays)
        config = {"source": f"array:{tmp_path / 'x.npz'}", "size": (4, 4)}
        return data.build(config, seed=0, batch_size=8)

    return open_file


@pytest.mark.parametrize("shape", [(40,), (40, 3)])
def test_targets_come_with_their_examples(open_file, shape):
    targets = np.random.default_rng(1).normal(size=shape)
    found = open_file(targets=targets)
    rows, count = targets.reshape(40, -1).astype(np.float32), np.prod(shape[1:], dtype=int)
    assert found.num_targets == count == found.describe()["num_targets"]
    assert f"{count} targets each" in found.in_words
    train = {tuple(row) for row in rows}
    batch = next(found.train_batches())
    assert batch["targets"].shape == (8, count)
    assert {tuple(row) for row in batch["targets"]} <= train
    *_, last = found.eval_batches("validation", 8)  # four examples, and padding
    assert (last["targets"][~last["is_valid"]] == 0).all()
    seen = {tuple(row) for row in last["targets"][last["is_valid"]]}
    assert len(seen) == 4
    assert seen <= train
    assert data.build({"source": "digits"}, seed=0, batch_size=8).num_targets == 0
    prints = [each.describe()["fingerprints"] for each in (found, open_file(targets=targets + 1))]
    assert prints[0] != prints[1]  # a run on other targets is not resumed


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.zeros(39), r"targets has shape \(39,\) for 40 examples: give \[N\] or \[N, T\]"),
        (np.full(40, "a"), "give real numbers"),
        (np.where(np.arange(40) == 7, np.nan, 0), "holds nan at index 7: leave such examples out"),
    ],
)
def test_targets_that_are_none_are_refused(open_file, targets, message):
    with pytest.raises(ValueError, match=message):
        open_file(targets=targets)


def test_a_label_that_is_no_class_is_named():
    labels = np.array([0, 1, 3], np.int32)
    source = ArraySource(np.zeros((3, 4, 4, 1), np.uint8), labels, num_classes=2)
    whole = data.build({"source": "digits", "size": (4, 4)}, seed=0, batch_size=8)
    loader = Loader(source, whole.processor)
    with pytest.raises(
        ValueError, match=r"example 2 has label 3, .* 2 classes: number them from 0"
    ):
        loader.collate([loader.evaluate(index) for index in range(3)])
