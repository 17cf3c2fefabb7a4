"""Checks of shapes that would otherwise broadcast into wrong numbers without a word."""

import numpy as np

from maskjax.typing import Array


def check_shapes(
    of: str, shape: tuple[int, ...], **arrays: Array | np.ndarray | None
) -> None:  # fmt: skip
    """Refuses arrays of another shape than what they belong to; None is not looked at."""
    for name, values in arrays.items():
        if values is not None and values.shape != shape:
            raise ValueError(f"{name} of shape {values.shape} for {of} of shape {shape}")


def check_keys(keys: Array, num_examples: int) -> None:
    """Refuses keys that are not one per example."""
    if len(keys) != num_examples:
        raise ValueError(f"{len(keys)} keys for {num_examples} examples; give one per example")
