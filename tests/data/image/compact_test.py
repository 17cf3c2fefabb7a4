"""Batches of 8 bits, which are completed on the device."""

import itertools

import jax
import numpy as np
import pytest

from maskjax import data

_CONFIG = {
    "source": "photos", "size": (12, 16), "crop_scale": (0.2, 1.0), "flip": True,
    "mean": (0.4, 0.5, 0.4), "std": (0.3, 0.25, 0.3),  # to measure them takes longer than all else
}  # fmt: skip


def test_compact_batches_are_completed_to_the_numbers_of_others():
    whole, compact = (
        data.build(_CONFIG, seed=3, batch_size=8, is_compact=is_compact)
        for is_compact in (False, True)
    )
    complete = jax.jit(compact.on_device)
    mean, std = (getattr(compact.processor, name).astype(np.float64) for name in ("mean", "std"))
    for first, second in itertools.islice(
        zip(whole.train_batches(), compact.train_batches(), strict=True), 3
    ):
        assert (first["inputs"].dtype, second["inputs"].dtype) == (np.float32, np.uint8)
        expected = (second["inputs"] / 255 - mean) / std
        for found in (first["inputs"], complete(second)["inputs"]):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, rtol=0, atol=4e-7)
        np.testing.assert_array_equal(first["id"], second["id"])
    whole_batch, compact_batch = (built.examples("validation", 2) for built in (whole, compact))
    np.testing.assert_allclose(whole_batch["inputs"], compact_batch["inputs"], atol=4e-7)


@pytest.mark.parametrize("config", [{"source": "digits"}, _CONFIG | {"missing": "7"}])
def test_what_needs_more_than_8_bits_stays_as_it_is(config):
    built = data.build(config, seed=0, batch_size=2, is_compact=True)
    batch = next(built.train_batches())
    assert batch["inputs"].dtype == np.float32
    assert built.on_device(batch) is batch


def test_a_rare_picture_of_16_bits_is_refused_with_what_keeps_its_bits():
    built = data.build(_CONFIG, seed=0, batch_size=2, is_compact=True)
    narrow, wide = (np.full(built.processor.shape, x) for x in (np.uint8(7), np.float32(0.1)))
    with pytest.raises(ValueError, match=r"more than 8 bits .* set data\.compact=False"):
        built.processor.collate([{"inputs": narrow}, {"inputs": wide}])
    whole = data.build(_CONFIG | {"compact": False}, seed=0, batch_size=2, is_compact=True)
    batch = whole.processor.collate([{"inputs": narrow}, {"inputs": wide}])
    expected = (
        np.float64([7 / 255, 0.1])[:, None] - whole.processor.mean[0, 0]
    ) / whole.processor.std[0, 0]
    np.testing.assert_allclose(batch["inputs"][:, 0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("wide", ["validation", "test"])
def test_a_split_of_16_bits_keeps_all_from_travelling_as_8(tmp_path, wide):
    rng, arrays = np.random.default_rng(0), {}
    for split in ("train", "validation", "test"):
        kind = np.uint16 if split == wide else np.uint8
        arrays[f"x_{split}"] = rng.integers(0, np.iinfo(kind).max, (4, 6, 6, 1), kind)
    np.savez(tmp_path / "x.npz", **arrays)
    config = {"source": f"array:{tmp_path}/x.npz", "mean": (0.25,), "std": (0.5,)}
    built = data.build(config, seed=0, batch_size=2, is_compact=True)
    for split in ("train", "validation", "test"):
        stored = arrays[f"x_{split}"]
        (batch,) = built.eval_batches(split, 4)
        expected = (stored / np.iinfo(stored.dtype).max - 0.25) / 0.5
        np.testing.assert_allclose(built.on_device(batch)["inputs"], expected, atol=1e-6)
