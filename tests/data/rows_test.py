"""Arrays that were computed of training examples come in the order of these."""

import dataclasses

import numpy as np
import pytest

from maskjax import data as data_layer


@pytest.fixture
def arrays_file(tmp_path):
    """Images whose first number is their place."""
    images = np.tile(np.arange(40, dtype=np.uint8)[:, None, None, None], (1, 2, 2, 1))
    np.savez(tmp_path / "some.npz", x=images, y=np.arange(40) % 3)
    return f"array:{tmp_path / 'some.npz'}"


def _build(source, **settings):
    settings = {"source": source, "validation_fraction": 0.2, "test_fraction": 0.0} | settings
    return data_layer.build(settings, seed=3, batch_size=8)


def test_rows_take_the_place_of_their_examples(arrays_file):
    data = _build(arrays_file, num_workers=2)
    (batch,) = data.eval_batches("train", data.num_train)
    places = batch["inputs"][:, 0, 0, 0]
    arrays = {"features": np.stack([places, -places], 1), "label": batch["label"]}
    rows = data.with_rows(arrays, np.ones(data.num_train, bool))
    batches, others = data.train_batches(2), rows.train_batches(2)
    for _, batch, other in zip(range(6), batches, others, strict=False):  # into the second epoch
        np.testing.assert_array_equal(other["features"][:, 0], batch["inputs"][:, 0, 0, 0])
        for name in ("label", "id", "epoch", "is_valid"):
            np.testing.assert_array_equal(other[name], batch[name])
        assert set(other) == {"features", "label", "id", "epoch", "is_valid"}
        assert rows.on_device(other) is other
    batches.close()


def test_an_example_without_a_row_is_an_error_or_skipped_as_it_was(arrays_file):
    data = _build(arrays_file)
    is_valid = np.arange(data.num_train) != 5
    arrays = {"features": np.zeros((data.num_train, 2), np.float32), "label": np.zeros(32, int)}
    with pytest.raises(ValueError, match="example 5 could not be decoded"):
        list(zip(range(8), data.with_rows(arrays, is_valid).train_batches()))
    loaders = {
        name: dataclasses.replace(each, bad_files="skip") for name, each in data._loaders.items()
    }
    skipping = dataclasses.replace(data, _loaders=loaders).with_rows(arrays, is_valid)
    ids = np.concatenate([x["id"] for _, x in zip(range(4), skipping.train_batches())])
    assert 5 not in ids
    assert (ids == 6).sum() == 2  # the next one stands in
