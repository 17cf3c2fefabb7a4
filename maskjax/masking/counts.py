"""How many positions to hide: from a mask ratio, exactly as the reference systems count."""

import bisect
import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from maskjax.typing import Array, Float, Int


def check_ratio(ratio: float) -> None:
    """Refuses a static mask ratio that hides nothing or all by itself."""
    if not 0 < ratio < 1:
        raise ValueError(f"mask ratio {ratio} must lie strictly between 0 and 1, for example 0.75")


def check_num_masked(
    num_masked: int | np.integer | Array, limit: int, things: str = "positions"
) -> None:
    """Refuses one count that there is not of the things; a traced one cannot be looked at."""
    is_known = np.ndim(num_masked) == 0 and not isinstance(num_masked, Tracer)
    if is_known and not 0 <= num_masked <= limit:
        raise ValueError(f"num_masked {num_masked} must be from 0 to the {limit} {things}")


def num_masked_from_ratio(length: int, ratio: float) -> int:
    """How many of `length` positions a mask ratio hides.

    The count of He et al. 2022 (MAE, section 3): all but `int(length * (1 - ratio))`, in Python
    floats. Its rounding is part of the definition: (100, 0.9) hides 91, not 90.

    Args:
        length: number of positions, at least 1.
        ratio: hidden share, strictly between 0 and 1.

    Returns:
        A count from 0 to `length`; short lengths can round to either end.

    Raises:
        ValueError: a length below 1 or a ratio outside (0, 1).

    Examples:
        >>> 196 - num_masked_from_ratio(196, 0.75), 196 - num_masked_from_ratio(196, 0.9)
        (49, 19)
    """
    if length < 1:
        raise ValueError(f"length {length} must be at least 1")
    check_ratio(ratio)
    return length - int(length * (1 - ratio))


def num_masked_from_lengths(
    lengths: Int[Array, "*b"], ratio: float, *, max_length: int, max_masked: int | None = None
) -> Int[Array, "*b"]:
    """How many positions a mask ratio hides in rows of different lengths, as BERT counts them.

    `min(max_masked, max(1, round(length * ratio)))` of Devlin et al. 2019's data preparation, in
    Python's floats and its rounding of halves to even; an empty row hides nothing.

    BERT's length is that of the whole row, [CLS] and [SEP] included, though it never hides these:
    for its counts pass the number of tokens, and say by `is_candidate` which may be hidden. Where
    that is fewer than the count, all of them are.

    Args:
        lengths: positions that count in each row, from 0 to `max_length`; others are clipped.
        ratio: hidden share, strictly between 0 and 1.
        max_length: static upper bound of the lengths.
        max_masked: most positions hidden in a row (BERT's max_predictions_per_seq).

    Returns:
        Counts from 0 to `max_length`.

    Raises:
        ValueError: a ratio outside (0, 1), or a bound below 1.

    Examples:
        >>> lengths = jnp.array([0, 2, 10, 30, 512])
        >>> num_masked_from_lengths(lengths, 0.15, max_length=512, max_masked=76).tolist()
        [0, 1, 2, 4, 76]
    """
    if max_masked is not None and max_masked < 1:
        raise ValueError(f"max_masked {max_masked} must be at least 1")
    most = max_length if max_masked is None else max_masked
    counts = table_of_counts(ratio, max_length, lambda n: min(most, max(1, round(n * ratio))))
    return counts[jnp.clip(lengths, 0, max_length)]


def table_of_counts(
    ratio: float, max_length: int, count: Callable[[int], int]
) -> Int[Array, "lengths"]:
    """count(length) for 1 ... max_length, and 0 for an empty row, in Python's own floats.

    A traced length looks its count up, for float32 would round some of the halves otherwise.
    """
    check_ratio(ratio)
    if max_length < 1:
        raise ValueError(f"max_length {max_length} must be at least 1")
    return jnp.array([0, *map(count, range(1, max_length + 1))], jnp.int32)


def num_masked_from_traced_ratio(
    length: int, ratio: Float[Array, "*b"]
) -> Int[Array, "*b"]:  # fmt: skip
    """`num_masked_from_ratio` for a ratio that is only known inside a traced function.

    A float32 cannot tell 0.9 from its neighbours in float64, and the reference count can differ
    between them. The float32 is therefore read as the shortest decimal that rounds to it, so that
    the two functions agree on every ratio written with up to 7 digits.

    Args:
        length: number of positions, at least 1.
        ratio: float32 hidden shares; at or below 0 counts 0, at or above 1 counts `length`.

    Returns:
        Counts from 0 to `length`.

    Raises:
        ValueError: a length below 1.

    Examples:
        >>> num_masked_from_traced_ratio(100, jnp.float32(0.9)).item()
        91
    """
    if length < 1:
        raise ValueError(f"length {length} must be at least 1")
    return jnp.searchsorted(
        _ratio_thresholds(length), ratio.astype(jnp.float32), side="right"
    ).astype(jnp.int32)


@functools.lru_cache(maxsize=64)
def _ratio_thresholds(length: int) -> np.ndarray:
    """The smallest float32 ratio that hides k positions, for k = 1 ... length."""

    def num_masked(bits: int) -> int:
        return length - int(length * (1 - float(str(np.int32(bits).view(np.float32)))))

    def to_bits(ratio: float) -> int:
        return int(np.float32(ratio).view(np.int32))

    # Float32s of one sign are ordered as their bits are. The k-th threshold lies within rounding
    # of (k - 1) / length; near zero floats are dense, so the first is searched for everywhere.
    thresholds = [bisect.bisect_left(range(to_bits(1.0)), 1, key=num_masked)]
    for k in range(2, length + 1):
        near = to_bits((k - 1) / length)
        thresholds.append(bisect.bisect_left(range(near + 4), k, lo=near - 4, key=num_masked))
    return np.array(thresholds, np.int32).view(np.float32)
