"""Checks of arguments that would otherwise give wrong numbers without a word, or a raw error.

All of them look at types and shapes alone, so that they say the same under jit and vmap.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from maskjax.typing import Array


def as_array(name: str, values: Any) -> Array:
    """Arrays as they are; NumPy arrays, lists and numbers as arrays; anything else is refused."""
    if isinstance(values, Array):
        return values
    if values is None or isinstance(values, str | bytes | dict | set):
        raise ValueError(f"{name} is {values!r}: give an array, a list or a number")
    try:
        return jnp.asarray(values)
    except (TypeError, ValueError):
        kind = type(values).__name__
        raise ValueError(
            f"{name} of type {kind} makes no array: give numbers, in rows of one length"
        ) from None


def as_flags(name: str, flags: Any, *, floats: str = "compare them with a number") -> Array:
    """The same for flags, which must be boolean: ~1 is -2, and a mask of -1e9 would mean yes.

    `floats` says what to do with floats.
    """
    array = as_array(name, flags)
    if array.dtype == bool:
        return array
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{name} holds {array.dtype}: flags are boolean; {floats}")
    given = name if hasattr(flags, "dtype") else f"numpy.array({name})"
    raise ValueError(
        f"{name} holds {array.dtype}: flags are boolean; where 1 means True, give {given} == 1"
    )


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
