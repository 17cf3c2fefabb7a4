"""How many positions to hide: from a mask ratio, exactly as the reference systems count."""

import bisect
import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from maskjax.masking.checks import as_array, as_integers, check_whole, is_number, known
from maskjax.typing import Array, Float, Int


def as_ratio(ratio: float) -> float:
    """A static mask ratio, strictly between 0 and 1; a float32 is read as its shortest decimal."""
    if isinstance(ratio, Tracer):
        raise ValueError(
            "mask ratio is traced: give a float that is known before jit, or use "
            "num_masked_from_traced_ratio(length, ratio)"
        )
    if not is_number(ratio) or not 0 < known(ratio) < 1:
        raise ValueError(
            f"mask ratio {ratio} must lie strictly between 0 and 1, as one number: 0.75"
        )
    return ratio if isinstance(ratio, float) else float(str(ratio))


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
    check_whole("length", length, hint="; of a grid: grid_length(grid)")
    ratio = as_ratio(ratio)
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
    if max_masked is not None:
        check_whole("max_masked", max_masked)
    most = max_length if max_masked is None else max_masked
    return counts_of_lengths(
        lengths, ratio, max_length, lambda n, share: min(most, max(1, round(n * share)))
    )


def counts_of_lengths(
    lengths: Int[Array, "*b"], ratio: float, max_length: int, count: Callable[[int, float], int]
) -> Int[Array, "*b"]:
    """count(length, ratio) of each row, and 0 for an empty one, in Python's own floats.

    A traced length looks its count up, for float32 would round some of the halves otherwise.
    """
    check_whole("max_length", max_length)
    lengths = as_integers("lengths", lengths)
    ratio = as_ratio(ratio)
    counts = [0, *(count(length, ratio) for length in range(1, max_length + 1))]
    return jnp.array(counts, jnp.int32)[jnp.clip(lengths, 0, max_length)]


def num_masked_from_traced_ratio(
    length: int, ratio: float | Float[Array, "*b"]
) -> Int[Array, "*b"]:  # fmt: skip
    """`num_masked_from_ratio` for a ratio that is only known inside a traced function.

    A float32 cannot tell 0.9 from its neighbours in float64, and the reference count can differ
    between them. The float32 is therefore read as the shortest decimal that rounds to it, so that
    the two functions agree on every ratio written with up to 7 digits.

    Args:
        length: number of positions, at least 1.
        ratio: hidden shares, floats, read as float32; at or below 0 counts 0, at or above 1 counts
            `length`.

    Returns:
        Counts from 0 to `length`.

    Raises:
        ValueError: a length below 1, or a ratio of whole numbers, which would be a count.

    Examples:
        >>> num_masked_from_traced_ratio(100, jnp.float32(0.9)).item()
        91
    """
    check_whole("length", length, hint="; of a grid: grid_length(grid)")
    array = as_array("ratio", ratio)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"ratio holds {array.dtype}: give shares of 1, floats; a count is none")
    thresholds = _ratio_thresholds(int(length))
    return jnp.searchsorted(thresholds, array.astype(jnp.float32), side="right").astype(jnp.int32)


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
