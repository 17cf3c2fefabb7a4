"""Checks of features and labels that every classifier of this layer makes before it starts."""

import numpy as np

from maskjax.typing import Array, Shaped

# Public functions of this layer check shapes themselves, with errors that name what is wrong.
AnyArray = Shaped[np.ndarray | Array, "..."]


class TooFewLabelsError(ValueError):
    """The training labels are too few, or too much alike, to fit a classifier."""


def checked_split(
    split: str, features: AnyArray, labels: AnyArray
) -> tuple[Shaped[np.ndarray, "N D"], Shaped[np.ndarray, "N"]]:
    """Return one split as float32 features and integer labels.

    Args:
        split: The name of the split in messages, "training" or "evaluation".
        features: Numbers, [N, D].
        labels: Integers, [N].

    Returns:
        features float32 [N, D] and labels int64 [N] as NumPy arrays; float32 input is not copied.

    Raises:
        ValueError: The split is empty, a shape does not fit, labels are no integers, or a feature
            is not finite as float32.
    """
    features, labels = np.asarray(features), np.asarray(labels)
    if features.ndim != 2:
        raise ValueError(f"the {split} features must be [N, D], got shape {features.shape}")
    if labels.shape != features.shape[:1]:
        raise ValueError(
            f"the {split} split has features of shape {features.shape} but labels of shape "
            f"{labels.shape}; one label a row is needed"
        )
    if 0 in features.shape:
        raise ValueError(f"the {split} split is empty: its features have shape {features.shape}")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"the {split} labels must be integers, got {labels.dtype}")
    with np.errstate(over="ignore"):  # an overflow becomes inf, which is reported below
        features = features.astype(np.float32, copy=False)
    is_bad = ~np.isfinite(features).all(axis=1)
    if is_bad.any():
        raise ValueError(
            f"the {split} features are not finite (NaN or infinite) in {is_bad.sum()} of "
            f"{len(features)} rows, first in row {is_bad.argmax()}"
        )
    return features, labels.astype(np.int64)


def checked_training_split(
    features: AnyArray, labels: AnyArray
) -> tuple[
    Shaped[np.ndarray, "N D"], Shaped[np.ndarray, "classes"], Shaped[np.ndarray, "N"]
]:  # fmt: skip
    """Return the training features, the sorted classes and each row's index into them.

    Args:
        features: Numbers, [N, D].
        labels: Integers, [N], of at least two classes.

    Returns:
        features float32 [N, D], classes int64 [classes], class indices int64 [N].

    Raises:
        ValueError: As `checked_split`.
        TooFewLabelsError: All labels are the same.
    """
    features, labels = checked_split("training", features, labels)
    classes, indices = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise TooFewLabelsError(
            f"all {len(labels)} training labels are {classes[0]}; a classifier needs two classes"
        )
    return features, classes, indices


def checked_width(train_features: np.ndarray, features: np.ndarray) -> None:
    """Check that both splits have features of one width.

    Args:
        train_features: [N, D].
        features: [N, D].

    Raises:
        ValueError: The widths differ.
    """
    if train_features.shape[1] != features.shape[1]:
        raise ValueError(
            f"training features have {train_features.shape[1]} numbers a row, "
            f"evaluation features {features.shape[1]}"
        )
