"""Photographs' crops, signals and volumes: fixed, labelled, and disjoint where they must be."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from maskjax.data.image.settings import ImageSettings
from maskjax.data.sources import open_splits


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [("signals", (256, 2), 5), ("volumes", (16, 16, 16, 1), 5), ("photos", (64, 64, 3), None)],
)
def test_examples_are_functions_of_the_index(name, shape, classes):
    first, again = open_splits(name, ImageSettings()), open_splits(name, ImageSettings())
    assert first.train.shape == shape
    assert first.train.num_classes == classes
    for split in ("train", "validation"):
        source, same = getattr(first, split), getattr(again, split)
        np.testing.assert_array_equal(source[3]["image"], same[3]["image"])
        assert source[3]["image"].shape == shape
        assert not np.array_equal(source[3]["image"], source[8]["image"])
        assert source[3].get("label") == same[3].get("label")
    assert not np.array_equal(first.train[3]["image"], first.validation[3]["image"])


@pytest.mark.parametrize(("name", "size"), [("signals", (100,)), ("volumes", (8, 12, 10))])
def test_size_is_drawn_natively_and_another_seed_draws_others(name, size):
    source = open_splits(name, ImageSettings(size=size)).train
    other = open_splits(f"{name}:1", ImageSettings(size=size)).train
    assert source.shape[:-1] == size == source[0]["image"].shape[:-1]
    assert not np.array_equal(source[0]["image"], other[0]["image"])
    np.testing.assert_array_equal(source.labels()[:7], [source[i]["label"] for i in range(7)])
    values = np.stack([source[i]["image"] for i in range(20)])
    assert values.dtype == np.float32
    assert 0 <= values.min() < 0.2
    assert 0.6 < values.max() <= 1


@pytest.mark.parametrize(
    ("name", "message"),
    [("signals", "must have 1 lengths"), ("volumes", "must have 3 lengths"), ("photos", "height")],
)
def test_size_of_another_rank_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        open_splits(name, ImageSettings(size=(8, 8, 8, 8)))


def test_seed_must_be_a_number():
    with pytest.raises(ValueError, match="signals:x"):
        open_splits("signals:x", ImageSettings())


@pytest.mark.parametrize(("name", "size"), [("signals", (64,)), ("volumes", (8, 8, 8))])
def test_classes_can_be_told_apart(name, size):
    from sklearn.ensemble import RandomForestClassifier

    source = open_splits(name, ImageSettings(size=size)).train
    x = np.stack([source[i]["image"].ravel() for i in range(600)])
    y = source.labels()[:600]
    forest = RandomForestClassifier(50, random_state=0).fit(x[:400], y[:400])
    assert forest.score(x[400:], y[400:]) > 0.4  # chance is 0.2


def test_photo_crops_are_cut_from_the_photographs_and_evaluation_from_other_parts():
    photographs = load_sample_images().images
    splits = open_splits("photos", ImageSettings(size=(20, 30)))
    border = int(427 * 0.625)
    for split, rows in (("train", slice(0, border)), ("validation", slice(border, 427))):
        for index in range(4):
            crop = getattr(splits, split)[index]["image"]
            assert crop.shape[1] == pytest.approx(crop.shape[0] * 1.5, abs=2)
            whole = photographs[index % 2][rows]
            windows = np.lib.stride_tricks.sliding_window_view(whole[..., 0], crop.shape[:2])
            tops, lefts = np.nonzero(
                (windows[..., 0, :5] == crop[0, :5, 0]).all(-1)
                & (windows[..., -1, -5:] == crop[-1, -5:, 0]).all(-1)
            )
            found = [
                np.array_equal(whole[t : t + crop.shape[0], s : s + crop.shape[1]], crop)
                for t, s in zip(tops, lefts)
            ]
            assert any(found)
