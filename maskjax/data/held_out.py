"""Examples that are set apart where a source sets none apart, class by class."""

from collections.abc import Collection

import numpy as np

from maskjax.data.settings import Settings
from maskjax.data.sources import SUBSET_SEED, Source, Splits, Subset
from maskjax.typing import Bool, Int


def held_shares(settings: Settings, apart: Collection[str]) -> tuple[float, float]:
    """Return the shares of validation and of test that are held out of the training examples.

    Args:
        settings: "validation_fraction" and "test_fraction" are read.
        apart: names of the splits that come from elsewhere.
    """
    if "validation" in apart:
        return 0.0, 0.0
    return settings.validation_fraction, 0.0 if "test" in apart else settings.test_fraction


def hold_out(source: Source, validation: float, test: float = 0.0) -> Splits:
    """Set examples apart, the same ones at every call.

    Args:
        source: all examples.
        validation: share of the validation split, in [0, 1).
        test: share of the test split; both together below 1. Which examples are left to train on
            depends on the sum alone.

    Returns:
        The splits, each in stored order; those of share 0 are not there. Shares are taken within
        each class (rounded up or down) where labels are known, so that all have the same classes.

    Raises:
        ValueError: where a split would be empty.
    """
    total = validation + test
    if not total:
        return Splits(source)
    labels = source.labels()
    labels = np.zeros(len(source), np.int32) if labels is None else labels
    is_held = held(labels, total)
    rows = np.flatnonzero(is_held)
    is_test = held(labels[rows], test / total)
    parts = {"validation": (validation, rows[~is_test]), "test": (test, rows[is_test])}
    if is_held.all() or any(share and not len(part) for share, part in parts.values()):
        names = " and ".join(f"data.{name}_fraction={x}" for name, (x, _) in parts.items() if x)
        raise ValueError(
            f"{names} of {len(source)} examples leaves a split empty; set data.validation_source,"
            " or other fractions"
        )
    found = {name: Subset(source, part) for name, (share, part) in parts.items() if share}
    train = Subset(source, np.flatnonzero(~is_held))
    return Splits(train, found.get("validation"), found.get("test"))


def held(labels: Int[np.ndarray, "N"], fraction: float) -> Bool[np.ndarray, "N"]:
    """Tell which examples are held out, a share of each class."""
    return shares(labels, fraction, np.random.default_rng(SUBSET_SEED))


def shares(
    labels: Int[np.ndarray, "N"], fraction: float, rng: np.random.Generator
) -> Bool[np.ndarray, "N"]:
    """Choose a share of the examples of each class; equal generators choose more for a larger."""
    is_chosen = np.zeros(len(labels), bool)
    seen = 0
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        # Rounded over all classes so far: many classes of few examples also give their share.
        share = round(fraction * (seen + len(members))) - round(fraction * seen)
        is_chosen[members[:share]] = True
        seen += len(members)
    return is_chosen
