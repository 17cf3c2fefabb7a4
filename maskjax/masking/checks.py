"""Checks of arguments that would otherwise give wrong numbers without a word, or a raw error.

All of them look at types and shapes alone, so that they say the same under jit and vmap.
"""

import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from maskjax.typing import Array


def as_array(name: str, values: Any) -> Array:
    """Arrays as they are; NumPy arrays, lists and numbers as arrays; anything else is refused."""
    if isinstance(values, Array):
        return values
    if values is None or isinstance(values, str | bytes | dict | set):
        raise ValueError(f"{name} is {_kind(values)}: give an array, a list or a number")
    if hasattr(values, "_fields"):  # a NamedTuple, such as Masking
        raise ValueError(f"{name} is a {type(values).__name__}: give one of {values._fields} of it")
    first = values
    while isinstance(first, list | tuple) and first:
        first = first[0]
    try:
        if isinstance(first, str):
            raise TypeError
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
    if array.dtype == bool or _is_empty_list(flags, array):
        return array.astype(bool)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{name} holds {array.dtype}: flags are boolean; {floats}")
    given = name if hasattr(flags, "dtype") else f"numpy.array({name})"
    raise ValueError(
        f"{name} holds {array.dtype}: flags are boolean; where 1 means True, give {given} == 1"
    )


def as_integers(name: str, values: Any, *, none: int | None = None) -> Array:
    """The same for whole numbers, such as ids; `none` is what None in a list stands for."""
    if none is not None and isinstance(values, list | tuple):
        values = _replace_none(values, none)
    array = as_array(name, values)
    if _is_empty_list(values, array):
        return array.astype(jnp.int32)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{name} holds {array.dtype}: give whole numbers, of an integer dtype")
    return array


def _is_empty_list(values: Any, array: Array) -> bool:
    """Whether there is nothing in it that would tell a dtype."""
    return array.size == 0 and not hasattr(values, "dtype")


def _replace_none(values: Any, none: int) -> Any:
    """Nested lists with a number for None, which tokenizers give to what is no word."""
    if isinstance(values, list | tuple):
        return [_replace_none(value, none) for value in values]
    return none if values is None else values


def as_floats(name: str, values: Any) -> Array:
    """The same for numbers that may be fractions: of other dtypes they become float32."""
    array = as_array(name, values)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.float32)


def wide_dtype(dtype: Any) -> np.dtype:
    """Of these bits, or float32 where they are fewer; jax.numpy.promote_types may be strict."""
    is_wide = jnp.issubdtype(dtype, jnp.floating) and np.dtype(dtype).itemsize >= 4
    return np.dtype(dtype if is_wide else np.float32)


def as_wide(name: str, values: Any) -> Array:
    """As floats of at least 32 bits: noise, sums and comparisons in fewer change what is drawn."""
    array = as_array(name, values)
    return array.astype(wide_dtype(array.dtype))


def per_position(name: str, values: Any, grid: tuple[int, ...]) -> Array:
    """One number for each position of a grid, as floats."""
    array, length = as_floats(name, values), math.prod(grid)
    if array.shape != (length,):
        raise ValueError(
            f"{name} of shape {array.shape} for {length} positions of grid {grid}: give one number "
            "each, in raster order"
        )
    return array


def per_axis(name: str, value: Any, grid: tuple[int, ...]) -> tuple[int, ...]:
    """A whole number of at least 1 for each axis of a grid; one number is that of all axes."""
    try:
        sides = tuple(operator.index(side) for side in value) if np.ndim(value) else None
        sides = (operator.index(value),) * len(grid) if sides is None else sides
    except TypeError:
        sides = ()
    if len(sides) != len(grid) or min(sides) < 1:
        raise ValueError(
            f"{name} {value} for grid {grid}: give one of at least 1, or one per axis, as ints"
        )
    return sides


def known(value: Any) -> Any:
    """What is known before jit, in NumPy, and None for what is traced.

    JAX's own operations, even on what is known, are traced where they stand within a program.
    """
    return None if isinstance(value, Tracer) else np.asarray(value)


def is_number(value: Any) -> bool:
    """Whether it is one number that is known before jit."""
    if isinstance(value, Array | np.ndarray) and not isinstance(value, Tracer):
        return value.ndim == 0 and not jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    return isinstance(value, int | float | np.number)


def check_number(name: str, value: Any) -> Any:
    """A number that is known before jit, in Python or NumPy; anything else is refused."""
    if not is_number(value):
        raise ValueError(f"{name} is {_kind(value)}: give one number, known before jit")
    return known(value)[()] if isinstance(value, Array | np.ndarray) else value


def check_rows(name: str, array: Array, num_axes: int = 2) -> None:
    """Refuses an array without an axis of examples before its positions."""
    if array.ndim < num_axes:
        raise ValueError(
            f"{name} of shape {array.shape}: give a batch, [B, L]; of one example x, x[None]"
        )


def broadcast(name: str, value: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """What fills hidden positions, in the shape and dtype of what it fills."""
    array = as_array(name, value)
    try:
        return jnp.broadcast_to(array.astype(dtype), shape)
    except ValueError:
        raise ValueError(
            f"{name} of shape {array.shape} does not broadcast to {shape}: give one value for all, "
            "or one per place of the last axes"
        ) from None


def check_whole(name: str, value: Any, *, least: int | None = 1, hint: str = "") -> None:
    """Refuses what is no whole number, known before jit and of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        limit = "" if least is None else f" of at least {least}"
        given = "is traced" if isinstance(value, Tracer) else _kind(value)
        raise ValueError(f"{name} {given}: give an int{limit}{hint}") from None
    if least is not None and number < least:
        raise ValueError(f"{name} {value} must be at least {least}{hint}")


def as_grid(grid: Any) -> tuple[int, ...]:
    """The positions along each axis of a grid; one number could be a row or a square."""
    if isinstance(grid, int | np.integer):
        raise ValueError(
            f"grid {grid} is one number: give the positions along each axis, ({grid},) for one axis"
        )
    try:
        sides = tuple(operator.index(side) for side in grid)
    except TypeError:
        raise ValueError(
            f"grid {grid}: give whole numbers that are known before jit, one per axis: (14, 14)"
        ) from None
    if not sides or min(sides) < 1:
        raise ValueError(f"grid {sides}: every side must be at least 1; give one per axis")
    return sides


def as_counts(
    num_masked: Any,
    limit: int,
    things: str = "positions",
    *,
    name: str = "num_masked",
    is_bounded: bool = True,
) -> int | Array:
    """One count or an array of them; one that is known must be from 0 to the limit, if bounded."""
    if isinstance(num_masked, int | np.integer) and not isinstance(num_masked, bool):
        counts = int(num_masked)
    else:
        counts = as_array(name, num_masked)
        if not jnp.issubdtype(counts.dtype, jnp.integer):
            raise ValueError(_no_count(name, num_masked, counts, limit))
        counts = counts.astype(jnp.int32)  # L - count would leave the range of small dtypes
    one = known(num_masked) if is_bounded and np.ndim(counts) == 0 else None
    if one is not None and not 0 <= one <= limit:
        raise ValueError(f"{name} {one} must be from 0 to the {limit} {things}")
    return counts


def as_count(num_masked: Any, limit: int, *, name: str = "num_masked") -> int:
    """One count that is known before jit, for the sizes of arrays follow from it."""
    if isinstance(num_masked, Tracer):
        is_ratio = jnp.issubdtype(num_masked.dtype, jnp.floating)
        counts = f"num_masked_from_traced_ratio({limit}, ratio)" if is_ratio else "traced counts"
        raise ValueError(
            f"{name} is traced: give an int that is known before jit (static_argnames), or give "
            f"{counts} to draw_counts or cut_counts"
        )
    count = as_counts(num_masked, limit, name=name)
    if np.ndim(count):
        raise ValueError(
            f"{name} of shape {np.shape(count)}: give one int for all rows; draw_counts and "
            "cut_counts take a count for each"
        )
    return int(known(num_masked))


def _no_count(name: str, given: Any, array: Array, limit: int) -> str:
    """What is said of ratios, and of other numbers that are not whole, in place of counts."""
    if array.ndim or isinstance(array, Tracer):
        ratios = f"num_masked_from_traced_ratio({limit}, ratio)"
        return f"{name} holds {array.dtype}: give counts, whole numbers; of ratios: {ratios}"
    if 0 < known(given) < 1:
        return f"{name} {given} is a ratio: give a count, num_masked_from_ratio({limit}, {given})"
    return f"{name} {given} is no count: give a whole number from 0 to {limit}, as an int"


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
    if not _is_typed(keys):
        raise ValueError(
            f"keys are {_kind(keys)}: give typed ones, {split} with key = jax.random.key(seed), or "
            "jax.random.wrap_key_data of legacy ones"
        )
    if keys.ndim != 1 or num_examples not in (None, keys.shape[0]):
        given = "one key" if keys.ndim == 0 else f"{keys.size} keys"
        shape = f" of shape {keys.shape}" if keys.ndim > 1 else ""
        examples = "the" if num_examples is None else num_examples
        raise ValueError(f"{given}{shape} for {examples} examples; give one per example, {split}")


def check_key(key: Any, name: str = "key", *, batch: str = "jax.vmap maps over a batch") -> None:
    """Refuses what is not one typed key; `batch` says what takes several."""
    if not _is_typed(key):
        raise ValueError(
            f"{name} is {_kind(key)}: give a typed key, jax.random.key(seed), or "
            "jax.random.wrap_key_data of a legacy one"
        )
    if key.ndim:
        raise ValueError(f"{name} is {key.size} keys of shape {key.shape}: give one; {batch}")


def _is_typed(key: Any) -> bool:
    return isinstance(key, Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)


def _kind(value: Any) -> str:
    """What was given, in few letters."""
    if isinstance(value, Tracer):
        return "traced"
    if hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    is_short = value is None or isinstance(value, int | float | str | tuple)
    return repr(value)[:60] if is_short else f"a {type(value).__name__}"
