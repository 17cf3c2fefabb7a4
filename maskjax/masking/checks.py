"""Checks of arguments that would otherwise give wrong numbers without a word, or a raw error.

All of them look at types and shapes alone, so that they say the same under jit and vmap.
"""

from typing import Any

import jax
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


def check_keys(keys: Any, num_examples: int | None = None) -> None:
    """Refuses what is no typed key per example; None stands for any number of examples."""
    split = f"jax.random.split(key, {'batch_size' if num_examples is None else num_examples})"
    if not (isinstance(keys, Array) and jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)):
        what = f"{keys.dtype}{list(keys.shape)}" if hasattr(keys, "dtype") else type(keys).__name__
        raise ValueError(
            f"keys are {what}: give typed ones, {split} with key = jax.random.key(seed), or "
            "jax.random.wrap_key_data of legacy ones"
        )
    if keys.ndim != 1 or num_examples not in (None, len(keys)):
        given = "one key" if keys.ndim == 0 else f"{keys.size} keys"
        shape = f" of shape {keys.shape}" if keys.ndim > 1 else ""
        examples = "the" if num_examples is None else num_examples
        raise ValueError(f"{given}{shape} for {examples} examples; give one per example, {split}")
