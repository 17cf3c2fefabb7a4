"""What of the training examples a run learns from, and with which labels: few, uneven, wrong.

    data.train_fraction  ->  data.imbalance  ->  data.limit  ->  data.label_noise

Each is a fixed choice: the first two and the noise are functions of (seed, index), the limit is the
same for all seeds. Validation and test examples stay as they are.
"""

import numpy as np

from maskjax.data.held_out import shares
from maskjax.data.processor import Record
from maskjax.data.settings import Settings
from maskjax.data.sources import Source, Subset, digest, take
from maskjax.typing import Bool, Int

_FRACTION, _IMBALANCE, _NOISE = range(3)  # what a generator is for


class WrongLabels(Subset):
    """All examples of a labelled source, some with labels of another class.

    Args:
        source: labelled.
        labels: of all its examples.
    """

    def __init__(self, source: Source, labels: Int[np.ndarray, "N"]):
        super().__init__(source, np.arange(len(source)))
        self._labels = labels

    def __getitem__(self, index: int) -> Record:
        return {**super().__getitem__(index), "label": int(self._labels[index])}

    def labels(self) -> Int[np.ndarray, "N"] | None:
        return self._labels

    def fingerprint(self) -> str:
        return digest(super().fingerprint(), self._labels)


def chosen(source: Source, settings: Settings, seed: int) -> Source:
    """Return the training examples that the settings ask for.

    Args:
        source: all training examples.
        settings: "train_fraction", "imbalance", "limit" and "label_noise" are read.
        seed: of the run.

    Raises:
        ValueError: labels are needed and are not known, or a class would be left empty.
    """
    if settings.train_fraction < 1:
        source = _fraction(source, settings.train_fraction, seed)
    if settings.imbalance > 1:
        labels = _labels(source, f"data.imbalance={settings.imbalance}", "1")
        is_kept = uneven(labels, settings.imbalance, np.random.default_rng((_IMBALANCE, seed)))
        source = Subset(source, np.flatnonzero(is_kept))
    if settings.limit:
        source = take(source, settings.limit)
    if settings.label_noise:
        labels = _labels(source, f"data.label_noise={settings.label_noise}", "0")
        rng = np.random.default_rng((_NOISE, seed))
        source = WrongLabels(
            source, mislabelled(labels, settings.label_noise, source.num_classes or 1, rng)
        )
    return source


def _labels(source: Source, wish: str, off: str) -> Int[np.ndarray, "N"]:
    labels = source.labels()
    if labels is None or (source.num_classes or 0) < 2:
        name = wish.partition("=")[0]
        raise ValueError(
            f"{wish} needs labels of two classes or more that are known without reading every "
            f"example: take another data.source, or leave {name} at {off}"
        )
    return labels


def _fraction(source: Source, fraction: float, seed: int) -> Source:
    """Take a share of each class, or of all where labels are not known."""
    labels = source.labels()
    known = np.zeros(len(source), np.int32) if labels is None else labels
    is_kept = shares(known, fraction, np.random.default_rng((_FRACTION, seed)))
    lost = sorted({*known.tolist()} - {*known[is_kept].tolist()})
    if lost:
        which = "no example at all" if labels is None else f"no example of class {lost[0]}"
        raise ValueError(
            f"data.train_fraction={fraction} of {len(source)} examples leaves {which}: raise it"
        )
    return Subset(source, np.flatnonzero(is_kept))


def uneven(
    labels: Int[np.ndarray, "N"], ratio: float, rng: np.random.Generator
) -> Bool[np.ndarray, "N"]:
    """Choose examples so that class counts fall geometrically, as many as there can be.

    Class k of C keeps n * ratio^(-k / (C - 1)), rounded, at least one: the long-tailed CIFAR of Cao
    et al. 2019, appendix, after Cui et al. 2019, section 5.1. n is the largest for which
    each class has enough. A smaller ratio does not keep all that a larger one keeps.

    Args:
        labels: classes 0 to C - 1 by their number; a class without examples keeps none.
        ratio: of the first class to the last, at least 1.
        rng: says which.
    """
    counts = np.bincount(labels)
    falling = ratio ** (-np.arange(len(counts)) / max(len(counts) - 1, 1))
    there = counts > 0
    most = (counts[there] / falling[there]).min()
    kept = np.minimum(np.maximum(np.rint(most * falling), 1), counts).astype(int)
    is_kept = np.zeros(len(labels), bool)
    for label, count in enumerate(kept):
        is_kept[rng.permutation(np.flatnonzero(labels == label))[:count]] = True
    return is_kept


def mislabelled(
    labels: Int[np.ndarray, "N"], share: float, num_classes: int, rng: np.random.Generator
) -> Int[np.ndarray, "N"]:
    """Give a share of the examples of each class the label of another, all others as likely.

    Symmetric noise (Patrini et al. 2017, section 5). With equal generators a larger share keeps the
    wrong labels of a smaller one.

    Args:
        labels: the right ones.
        share: that becomes wrong, in [0, 1], exact but for rounding.
        num_classes: C, two or more.
        rng: says which, and what they become.
    """
    others = (labels + rng.integers(1, num_classes, len(labels))) % num_classes
    return np.where(shares(labels, share, rng), others, labels).astype(np.int32)
