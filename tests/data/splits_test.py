"""Which examples are to learn from, to choose by and to judge by."""

import numpy as np
import pytest

from maskjax import data

_FRACTIONS = {"validation_fraction": 0.2, "test_fraction": 0.3}


@pytest.fixture
def numbered(tmp_path):
    """Write an .npz file whose example i of a split is filled with its start + i."""

    def make(name="x", **starts):
        arrays = {
            f"x_{split}": np.arange(start, start + count, dtype=np.uint8)[:, None, None, None]
            for split, (start, count) in starts.items()
        }
        np.savez(tmp_path / f"{name}.npz", **arrays)
        return f"array:{tmp_path}/{name}.npz"

    return make


def _splits(source, **config):
    """Stored numbers of each split."""
    built = data.build(
        {"source": source, "mean": (0,), "std": (1,), **config}, seed=0, batch_size=1
    )
    numbers = (built.num_train, built.num_validation, built.num_test)
    found = {}
    for split, number in zip(("train", "validation", "test"), numbers, strict=True):
        batches = [b["inputs"][b["is_valid"]] for b in built.eval_batches(split, 64)]
        found[split] = np.rint(255 * np.concatenate([np.zeros((0, 1, 1, 1)), *batches])).ravel()
        assert len(found[split]) == number
    return found


def test_what_a_source_sets_apart_is_taken_and_fractions_fill_what_is_missing(numbered):
    whole = {"train": (0, 10), "validation": (100, 3), "test": (200, 4)}
    parts = lambda *names: {name: whole[name] for name in names}  # noqa: E731
    sizes = {
        ("train", "validation", "test"): (10, 3, 4),
        ("train", "test"): (8, 2, 4),
        ("train", "validation"): (10, 3, 0),
        ("train",): (5, 2, 3),
    }
    for names, expected in sizes.items():
        found = _splits(numbered(**parts(*names)), **_FRACTIONS)
        assert tuple(map(len, found.values())) == expected
        everything = np.sort(np.concatenate([*found.values()]))
        wanted = [np.arange(start, start + count) for start, count in parts(*names).values()]
        np.testing.assert_array_equal(everything, np.concatenate(wanted))
        for name in names[1:]:
            assert set(found[name]) == set(np.arange(whole[name][0], sum(whole[name])))


def test_sources_of_ones_own_for_validation_and_test_win(numbered):
    source = numbered(train=(0, 10), test=(100, 3))
    other = numbered("other", train=(150, 4), test=(200, 5))
    found = _splits(source, validation_source=other)
    assert (len(found["train"]), set(found["validation"])) == (10, set(range(200, 205)))
    assert set(found["test"]) == set(range(100, 103))
    found = _splits(source, test_source=numbered("third", train=(220, 2)), **_FRACTIONS)
    assert (len(found["train"]), set(found["test"])) == (8, {220, 221})


def test_a_run_says_how_many_examples_are_for_what(numbered):
    config = {"source": numbered(train=(0, 10), test=(100, 3)), "validation_fraction": 0.2}
    built = data.build(config, seed=0, batch_size=1)
    said = "8 training, 2 validation and 3 test images of 1x1x1, no labels"
    assert built.in_words == said
    described = built.describe()
    assert (described["num_train"], described["num_validation"], described["num_test"]) == (8, 2, 3)
    assert len({*described["fingerprints"].values()}) == 3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"eval_fraction": 0.1}, "config.data.eval_fraction is data.validation_fraction now"),
        ({"eval_source": "digits"}, "config.data.eval_source is data.validation_source now"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "leave nothing to train on"),
        ({"test_fraction": -0.1}, "data.test_fraction=-0.1"),
    ],
)
def test_old_names_and_impossible_shares_are_refused(config, message):
    with pytest.raises(ValueError, match=message) as caught:
        data.build({"source": "digits"} | config, seed=0, batch_size=1)
    assert "\n" not in str(caught.value)


def test_what_an_old_run_said_of_its_data_is_read_as_it_would_be_said_now():
    config = {"source": "digits", "test_fraction": 0}
    now = data.build(config, seed=0, batch_size=1).describe()
    old = {name: x for name, x in now.items() if name not in ("num_validation", "num_test")}
    old |= {"num_eval": now["num_validation"]}
    old["fingerprints"] = {
        "train": now["fingerprints"]["train"], "eval": now["fingerprints"]["validation"]
    }  # fmt: skip
    assert data.renewed(old) == now == data.renewed(now)
    assert data.restore(config, old).num_validation == 180
