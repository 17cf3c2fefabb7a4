"""The registry, fixed subsets and held-out splits."""

import numpy as np
import pytest

from maskjax.data import sources
from maskjax.data.held_out import hold_out
from maskjax.data.image.arrays import ArraySource
from maskjax.data.image.settings import ImageSettings
from maskjax.data.sources import open_splits, take


def _source(labels):
    labels = np.asarray(labels, np.int32)
    inputs = np.arange(len(labels), dtype=np.uint8)[:, None, None]
    return ArraySource(inputs, labels)


def _indices(source):
    return [int(source[i]["image"][0, 0]) for i in range(len(source))]


def test_unknown_source_lists_known_ones_and_the_nearest():
    with pytest.raises(ValueError, match=r"'digit' \(did you mean 'digits'\?\)") as caught:
        open_splits("digit", ImageSettings())
    for name in ("array", "digits", "folder", "idx", "photos", "signals", "tfds", "volumes"):
        assert name in str(caught.value)


def test_hold_out_takes_the_same_share_of_every_class_and_no_example_twice():
    source = _source([0] * 100 + [1] * 50 + [2] * 10)
    splits = hold_out(source, 0.2)
    np.testing.assert_array_equal(np.bincount(splits.validation.labels()), [20, 10, 2])
    assert sorted(_indices(splits.train) + _indices(splits.validation)) == list(range(160))


def test_hold_out_of_many_small_classes_has_the_right_total():
    splits = hold_out(_source([label for label in range(60) for _ in range(4)]), 0.1)
    assert len(splits.validation) == 24
    assert np.bincount(splits.validation.labels()).max() == 1


def test_hold_out_is_the_same_at_every_call():
    source = _source([0, 1] * 30)
    assert _indices(hold_out(source, 0.3).validation) == _indices(hold_out(source, 0.3).validation)


def test_hold_out_of_nothing_has_no_evaluation_split():
    assert hold_out(_source([0, 1]), 0.0).validation is None


def test_hold_out_refuses_an_empty_split():
    with pytest.raises(ValueError, match=r"validation_fraction=0.01 of 4 examples"):
        hold_out(_source([0, 0, 1, 1]), 0.01)


def test_take_is_nested_and_not_periodic():
    source = _source(np.arange(200) % 10)
    small, large = _indices(take(source, 20)), _indices(take(source, 50))
    assert len(set(small)) == 20
    assert set(small) < set(large)
    assert small == sorted(small)
    # A strided subset of periodic classes would hold one class alone.
    assert len(set(np.array(small) % 10)) > 5


def test_take_more_than_there_is_takes_all():
    assert _indices(take(_source([0, 1, 2]), 10)) == [0, 1, 2]


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    source = open_splits("digits", ImageSettings()).train
    assert (len(source), source.shape, source.num_classes) == (1797, (8, 8, 1), 10)
    np.testing.assert_array_equal(source[5]["image"][..., 0], load_digits().images[5])
    assert source[5]["label"] == load_digits().target[5]


def _pixels(**changes):
    parts = {"inputs": np.arange(60, dtype=np.uint8).reshape(5, 3, 4), "labels": [0, 1, 0, 1, 1]}
    parts |= changes
    return ArraySource(parts["inputs"], np.array(parts["labels"], np.int32))


def test_fingerprints_of_arrays_tell_other_numbers_labels_dtypes_and_shapes_apart():
    plain = _pixels()
    inputs = np.arange(60, dtype=np.uint8).reshape(5, 3, 4)
    assert plain.fingerprint() == _pixels(inputs=np.asfortranarray(inputs)).fingerprint()
    changed = inputs.copy()
    changed[4, 2, 3] = 0
    others = [
        _pixels(inputs=changed),
        _pixels(inputs=inputs.reshape(5, 4, 3)),
        _pixels(inputs=inputs.astype(np.uint16)),
        _pixels(inputs=inputs[:4], labels=[0, 1, 0, 1]),
        _pixels(labels=[0, 1, 1, 0, 1]),
        take(plain, 4),
        take(plain, 3),
        *hold_out(plain, 0.4)[:2],
    ]
    prints = [source.fingerprint() for source in (plain, *others)]
    assert len(set(prints)) == len(prints)


def test_a_large_array_is_known_by_a_sample_of_its_rows(monkeypatch):
    monkeypatch.setattr(sources, "_MAX_HASHED", 20)
    inputs = np.arange(100, dtype=np.uint8).reshape(50, 2, 1)
    plain = ArraySource(inputs).fingerprint()
    assert plain == ArraySource(inputs.copy()).fingerprint()
    for row in (0, 49):  # ten evenly spaced rows, the ends among them
        changed = inputs.copy()
        changed[row] += 1
        assert plain != ArraySource(changed).fingerprint()


@pytest.mark.parametrize("name", ["signals", "volumes", "photos"])
def test_fingerprints_of_drawn_sources_tell_splits_seeds_and_sizes_apart(name):
    size = (8,) * {"signals": 1, "photos": 2, "volumes": 3}[name]
    first, again = (open_splits(name, ImageSettings(size=size)) for _ in range(2))
    assert first.train.fingerprint() == again.train.fingerprint()
    assert first.train.fingerprint() != first.validation.fingerprint()
    if name != "photos":
        seeded = open_splits(f"{name}:1", ImageSettings(size=size)).train
        assert first.train.fingerprint() != seeded.fingerprint()
    larger = open_splits(name, ImageSettings(size=(9, *size[1:]))).train
    assert first.train.fingerprint() != larger.fingerprint()


def test_a_held_out_share_for_test_is_taken_from_what_validation_would_have():
    source = _source([0] * 100 + [1] * 60)
    both, one = hold_out(source, 0.1, 0.1), hold_out(source, 0.2)
    assert _indices(both.train) == _indices(one.train)
    np.testing.assert_array_equal(np.bincount(both.validation.labels()), [10, 6])
    np.testing.assert_array_equal(np.bincount(both.test.labels()), [10, 6])
    together = _indices(both.validation) + _indices(both.test)
    assert sorted(together) == _indices(one.validation)
    assert hold_out(source, 0.0, 0.1).validation is None
    with pytest.raises(ValueError, match=r"=0.1 and data.test_fraction=0.001 of 160"):
        hold_out(source, 0.1, 0.001)
