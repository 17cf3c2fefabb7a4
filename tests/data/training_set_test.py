"""Few training examples, uneven classes, wrong labels: which, and that nothing else changes."""

import numpy as np
import pytest

from maskjax import data
from maskjax.data.training_set import mislabelled, uneven


@pytest.fixture
def of_classes(tmp_path):
    """Build an `array:` data set of so many training examples a class; its i-th is all i."""

    def make(counts=(40, 40, 40), seed=0, batch_size=1, **config):
        labels = np.random.default_rng(5).permutation(np.repeat(np.arange(len(counts)), counts))
        x = np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
        held = {"x_validation": x[:30], "y_validation": labels[:30]}
        np.savez(tmp_path / "x.npz", x_train=x, y_train=labels, **held)
        config = {"source": f"array:{tmp_path}/x.npz", "mean": (0,), "std": (1,), **config}
        return data.build(config, seed=seed, batch_size=batch_size)

    return make


def _read(built, split="train"):
    """{stored number: label} of a split."""
    batches = list(built.eval_batches(split, 64))
    found = [(b["inputs"][b["is_valid"]].ravel(), b["label"][b["is_valid"]]) for b in batches]
    numbers, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return dict(zip(np.rint(255 * numbers).astype(int).tolist(), labels.tolist(), strict=True))


def _counts(found):
    return np.bincount([*found.values()]).tolist()


def test_a_fraction_is_of_each_class_and_a_larger_one_keeps_more_of_the_same(of_classes):
    few, more = (_read(of_classes(train_fraction=share)) for share in (0.1, 0.5))
    assert (_counts(few), _counts(more)) == ([4, 4, 4], [20, 20, 20])
    assert few.items() < more.items() < _read(of_classes()).items()
    assert _read(of_classes(train_fraction=0.1)) == few
    assert _read(of_classes(train_fraction=0.1, seed=1)).keys() != few.keys()


def test_class_counts_fall_geometrically(of_classes):
    found = _read(of_classes((100, 80, 60), imbalance=100, seed=2))
    assert _counts(found) == [100, 10, 1]
    assert found.items() < _read(of_classes((100, 80, 60))).items()
    assert found.keys() != _read(of_classes((100, 80, 60), imbalance=100, seed=3)).keys()
    # The scarcest class decides how many there are: 4 = n / 4, so 16, 8, 4.
    assert _counts(_read(of_classes((40, 40, 4), imbalance=4))) == [16, 8, 4]
    labels = np.repeat(np.arange(10), 5000)  # 5000 * 50^(-k / 9), rounded by hand
    counts = np.bincount(labels[uneven(labels, 50.0, np.random.default_rng(0))])
    assert counts.tolist() == [5000, 3237, 2096, 1357, 879, 569, 368, 239, 154, 100]


def test_a_share_of_each_class_is_labelled_wrong_and_nothing_else_changes(of_classes):
    right, some, more = (_read(of_classes(label_noise=share)) for share in (0, 0.2, 0.4))
    wrong = {number for number, label in some.items() if label != right[number]}
    assert _counts({number: right[number] for number in wrong}) == [8, 8, 8]
    assert all(more[number] == some[number] for number in wrong)
    assert sum(label != right[number] for number, label in more.items()) == 48
    assert _read(of_classes(label_noise=0.2)) == some != _read(of_classes(label_noise=0.2, seed=1))
    clean = of_classes()
    noisy = of_classes(label_noise=0.4)
    assert _read(noisy, "validation") == _read(clean, "validation")
    batch = next(of_classes(label_noise=0.4, batch_size=120).train_batches())
    stored = np.rint(255 * batch["inputs"].ravel()).astype(int).tolist()
    assert dict(zip(stored, batch["label"].tolist(), strict=True)) == more


def test_wrong_labels_are_all_others_alike():
    found = mislabelled(np.zeros(3000, np.int32), 1.0, 4, np.random.default_rng(0))
    counts = np.bincount(found, minlength=4)
    assert counts[0] == 0
    assert np.all(abs(counts[1:] - 1000) < 5 * (3000 * (1 / 3) * (2 / 3)) ** 0.5)


def test_what_is_chosen_is_a_part_of_what_the_data_are(of_classes):
    changes = ({}, {"label_noise": 0.2}, {"label_noise": 0.4}, {"train_fraction": 0.5})
    changes += ({"imbalance": 2}, {"label_noise": 0.2, "seed": 1}, {"limit": 60})
    described = [of_classes(**change).describe() for change in changes]
    assert len({each["fingerprints"]["train"] for each in described}) == len(changes)
    assert len({each["fingerprints"]["validation"] for each in described}) == 1
    assert [each["num_train"] for each in described[:4]] == [120, 120, 120, 60]


def test_together_they_hold_of_what_is_left(of_classes):
    built = of_classes((80, 80, 80), train_fraction=0.5, imbalance=4, label_noise=0.25)
    found, right = _read(built), _read(of_classes((80, 80, 80)))
    assert _counts({number: right[number] for number in found}) == [40, 20, 10]
    assert sum(label != right[number] for number, label in found.items()) == 10 + 5 + 3  # 2.5 up


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"train_fraction": 0.0}, r"data.train_fraction=0.0 must be in \(0, 1\]"),
        ({"imbalance": 0.5}, "data.imbalance=0.5 must be at least 1"),
        ({"label_noise": 1.0}, r"data.label_noise=1.0 must be in \[0, 1\)"),
        ({"train_fraction": 0.01}, "=0.01 of 120 examples leaves no example of class .: raise it"),
        (
            {"train_fraction": 0.5, "imbalance": 2, "batch_size": 64},
            "120 training examples and data.train_fraction=0.5 and data.imbalance=2.0 keeps fewer "
            "than batch_size=64; lower batch_size or keep more",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(of_classes, config, message):
    with pytest.raises(ValueError, match=message) as caught:
        of_classes(**config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wish", ["imbalance=2.0", "label_noise=0.5"])
def test_labels_must_be_known_where_they_decide(wish):
    name, _, value = wish.partition("=")
    with pytest.raises(ValueError, match=f"data.{wish} needs labels .* or leave data.{name} at"):
        data.build({"source": "photos", "size": (8, 8), name: float(value)}, seed=0, batch_size=4)
