"""Examples that are set apart where a source sets none apart, class by class."""

import numpy as np

from maskjax.data.sources import SUBSET_SEED, Source, Splits, Subset
from maskjax.typing import Bool, Int


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
    is_held = shares(labels, total, np.random.default_rng(SUBSET_SEED))
    held = np.flatnonzero(is_held)
    is_test = shares(labels[held], test / total, np.random.default_rng(SUBSET_SEED))
    parts = {"validation": (validation, held[~is_test]), "test": (test, held[is_test])}
    if is_held.all() or any(share and not len(part) for share, part in parts.values()):
        names = " and ".join(f"data.{name}_fraction={x}" for name, (x, _) in parts.items() if x)
        raise ValueError(
            f"{names} of {len(source)} examples leaves a split empty; set data.validation_source,"
            " or other fractions"
        )
    found = {name: Subset(source, part) for name, (share, part) in parts.items() if share}
    train = Subset(source, np.flatnonzero(~is_held))
    return Splits(train, found.get("validation"), found.get("test"))


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
