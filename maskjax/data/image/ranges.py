"""Stored numbers: what stands for 0 and 1 in each channel, and what stands for no data."""

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging

from maskjax.typing import Bool, Float, Shaped

# Stored numbers that stand for 0 and 1: for all channels, or one a channel [C] each.
Number = int | float
ValueRange = tuple[Number | np.ndarray, Number | np.ndarray]

_CHUNK_NUMBERS = 2**24
_SAMPLE_NUMBERS = 2**20
# Of a channel in [0, 1] that spans less, pictures of 8 bits would show one level.
_FLATTEST = 1 / 255
# So often an extreme value must occur to be called common.
_COMMON_SHARE, _COMMON_COUNT = 1e-3, 10


def has_own_range(dtype: np.dtype) -> bool:
    """Whether a dtype tells what stands for 0 and 1, so that no number must be looked at."""
    return dtype.kind == "b" or _is_narrow(dtype)


def _is_narrow(dtype: np.dtype) -> bool:
    """Whether it is uint8 or uint16, in any order of bytes."""
    return dtype.kind == "u" and dtype.itemsize <= 2


def to_unit(
    x: Shaped[np.ndarray, "*shape"], value_range: ValueRange | None = None
) -> Float[np.ndarray, "*shape"]:
    """Scale stored numbers to [0, 1], channel by channel.

    The lower end is subtracted in the stored dtype, so that digits far from zero are kept.

    Args:
        x: numbers of any dtype, channels last where the range has several.
        value_range: what stands for 0 and 1, two numbers or two arrays [C]; None is (0, 255) for
            uint8, (0, 65535) for uint16 and (0, 1) for anything else. Where both are equal, the
            channel is only shifted. For uint8 and uint16 a range within [0, 1], of floats that they
            lie beside, is as None.

    Returns:
        float32.
    """
    is_narrow = _is_narrow(x.dtype)
    if value_range is None or (is_narrow and within_unit(value_range)):
        value_range = (0, np.iinfo(x.dtype).max if is_narrow else 1)
    low, high = value_range
    rows = x
    if isinstance(low, np.ndarray) and isinstance(high, np.ndarray):  # one a channel
        span = _minus(high, low)
        span = np.where(span > 0, span, 1)
        rows = x.reshape(*x.shape[:-2], -1)  # NumPy is slow on an axis of few channels
        low, span = (np.tile(end, rows.shape[-1] // end.size) for end in (low, span))
    else:
        span = (high - low) or 1  # type: ignore[assignment]
    unit = _minus(rows, low)
    if not (isinstance(span, Number) and span == 1):
        unit /= span
    return unit.astype(np.float32, copy=False).reshape(x.shape)


def within_unit(value_range: ValueRange) -> bool:
    """Whether a range lies in [0, 1]."""
    return bool(np.min(value_range[0]) >= 0 and np.max(value_range[1]) <= 1)


@functools.cache
def _working(dtype: np.dtype) -> np.dtype:
    """Float32 or, for numbers of more digits, float64 (or what is wider still)."""
    return np.result_type(dtype, np.float32)


def _minus(x: np.ndarray, low: Number | np.ndarray) -> np.ndarray:
    """Subtract in the working dtype; 64-bit integers, of yet more digits, as such."""
    if isinstance(low, np.ndarray):
        is_exact = low.dtype == x.dtype.newbyteorder("=")
    elif low == 0:
        return x.astype(_working(x.dtype))
    else:
        is_exact = isinstance(low, int) and can_hold(x.dtype, low)
    if is_exact and x.dtype.kind in "iu" and x.dtype.itemsize == 8:
        distance = np.where(x >= low, x - low, low - x)  # modulo 2**64, so right if unsigned
        distance = distance.view(np.uint64).astype(np.float64)
        return np.where(x >= low, distance, -distance)
    unit = x.astype(_working(x.dtype))
    unit -= low
    return unit


def measure_range(
    inputs: Shaped[np.ndarray, "N *spatial C"], missing: Number | None = None
) -> ValueRange:
    """Find what stands for 0 and 1 in each channel of examples that lie in memory.

    Args:
        inputs: real numbers, of a dtype that has no range of its own.
        missing: number that stands for no data, left out; None where there is none.

    Returns:
        Smallest and largest number of each channel, in the stored dtype (both 0 where a channel has
        none). For floats within [0, 1] they are 0 and 1, but where a channel spans less than 1/255.

    Raises:
        ValueError: a number is not finite, or a channel's range not in float32.
    """
    low, high = _extremes(inputs, missing)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError(_where_not_finite(inputs, missing))
    with np.errstate(over="ignore"):
        is_wide = _minus(high, low).astype(np.float64) > float(np.finfo(np.float32).max)
    if is_wide.any():
        raise ValueError(
            f"the examples run from {low[is_wide][0]} to {high[is_wide][0]}, not all finite in"
            " float32; remove or replace such numbers, or name one that stands for no data in"
            " data.missing"
        )
    if inputs.dtype.kind == "f" and low.min() >= 0 and high.max() <= 1:
        is_flat = (high > low) & (high - low < _FLATTEST)
        if not is_flat.any():
            return (0.0, 1.0)
        low, high = np.where(is_flat, low, 0), np.where(is_flat, high, 1)
    return (low, high) if len(low) > 1 else (low.item(), high.item())


def _extremes(inputs: np.ndarray, missing: Number | None) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest number of each channel [C]; NaN where one is NaN, 0 where none is."""
    channels = inputs.shape[-1]
    if missing is None:
        ends = inputs.min(0), inputs.max(0)
    else:
        info = None if inputs.dtype.kind == "f" else np.iinfo(inputs.dtype)
        most, least = (np.inf, -np.inf) if info is None else (info.max, info.min)
        ends = [np.full(inputs.shape[1:], end, inputs.dtype) for end in (most, least)]
        for chunk in _chunks(inputs):
            is_known = ~is_missing(chunk, missing)
            np.minimum(ends[0], chunk.min(0, where=is_known, initial=most), out=ends[0])
            np.maximum(ends[1], chunk.max(0, where=is_known, initial=least), out=ends[1])
    low, high = ends[0].reshape(-1, channels).min(0), ends[1].reshape(-1, channels).max(0)
    is_empty = low > high
    return np.where(is_empty, low.dtype.type(0), low), np.where(is_empty, low.dtype.type(0), high)


def _chunks(inputs: np.ndarray) -> Iterator[np.ndarray]:
    """Some examples at a time, so that what is computed from them needs little memory."""
    count = max(1, _CHUNK_NUMBERS // math.prod(inputs.shape[1:]))
    for start in range(0, len(inputs), count):
        yield inputs[start : start + count]


def _where_not_finite(inputs: np.ndarray, missing: Number | None) -> str:
    """Say how many numbers are NaN or infinite, and which is the first."""
    total, first, start = 0, None, 0
    for chunk in _chunks(inputs):
        is_bad = ~np.isfinite(chunk) & ~is_missing(chunk, missing)
        total += int(is_bad.sum())
        if first is None and is_bad.any():
            index = np.argwhere(is_bad)[0]
            first = chunk[tuple(index)], [start + int(index[0]), *map(int, index[1:])]
        start += len(chunk)
    assert first is not None
    value, place = first
    return (
        f"not all finite: {total} of {inputs.size} numbers are nan or inf, the first {value} at"
        f" index {place}; remove or replace them, or set data.missing={value} if that stands for no"
        " data"
    )


def is_missing(
    x: Shaped[np.ndarray, "*shape"], missing: Number | None
) -> Bool[np.ndarray, "*shape"]:
    """Say which stored numbers stand for no data.

    Args:
        x: as stored.
        missing: the number that does, compared in the stored dtype; NaN is any NaN; None is none.

    Returns:
        True where there is no data.
    """
    if missing is None or not can_hold(x.dtype, missing):
        return np.zeros(x.shape, bool)
    return np.isnan(x) if math.isnan(missing) else x == x.dtype.type(missing)


def can_hold(dtype: np.dtype, value: Number) -> bool:
    """Whether a number can occur in an array of a dtype, rounded to it if that has fractions."""
    if dtype.kind == "f":
        return not math.isfinite(value) or bool(abs(value) <= np.finfo(dtype).max)
    if dtype.kind not in "iu" or not math.isfinite(value) or value != int(value):
        return False
    return np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def check_missing(
    inputs: Shaped[np.ndarray, "N *spatial C"], missing: Number | None, name: str
) -> None:
    """Warn of numbers that look like no data, or of data.missing where no number equals it.

    Args:
        inputs: examples, or a sample of them.
        missing: what `data.missing` says.
        name: of the data, for messages.

    Raises:
        ValueError: the dtype cannot hold `missing`.
    """
    if missing is not None:
        if not can_hold(inputs.dtype, missing):
            raise ValueError(
                f"{name}: data.missing={missing} cannot occur in numbers of {inputs.dtype}; give"
                " the stored number that stands for no data"
            )
        if not any(is_missing(chunk, missing).any() for chunk in _chunks(inputs)):
            logging.warning(
                "%s: no number that was looked at equals data.missing=%s", name, missing
            )
        return
    if inputs.dtype in (np.uint8, np.bool_):  # 0 and 255 are colours
        return
    count = max(1, _SAMPLE_NUMBERS // math.prod(inputs.shape[1:]))
    sample = inputs[:: -(-len(inputs) // count)]
    channels = (sample[..., channel].reshape(-1) for channel in range(sample.shape[-1]))
    found = [(number, *it) for number, x in enumerate(channels) if (it := _common_extreme(x))]
    if found:
        channel, value, share, low, high = found[0]
        others = f" (and {len(found) - 1} others have such a number)" if len(found) > 1 else ""
        logging.warning(
            "%s: %.1f %% of channel %d is %s%s, far from the rest (%s to %s); if it stands for no"
            " data, set data.missing=%s",
            name, 100 * share, channel, value, others, low, high, value,
        )  # fmt: skip


def _common_extreme(x: np.ndarray) -> tuple[Any, float, Any, Any] | None:
    """A smallest or largest number that is common, and further from the rest than that is wide.

    Returns:
        The number, its share, and the smallest and largest of the rest.
    """
    for value in (x.min(), x.max()):
        is_value = x == value
        count, rest = int(is_value.sum()), x[~is_value]
        if not rest.size or count < max(_COMMON_COUNT, _COMMON_SHARE * x.size):
            continue
        low, high = rest.min(), rest.max()
        gap = float(low) - float(value) if value < low else float(value) - float(high)
        if gap > float(high) - float(low) > 0:
            return value, count / x.size, low, high
    return None


def check_scales(train: ValueRange | None, evaluation: ValueRange | None):
    """Refuse evaluation examples whose numbers the training examples give no scale for.

    Training examples of 8 or 16 bits are scaled by their dtype, and others by their range, which
    holds for evaluation too.

    Args:
        train: the training split's range, None where the dtype tells.
        evaluation: that of the evaluation split.

    Raises:
        ValueError: the evaluation examples have a range of their own, and training has none.
    """
    if train is None and not within_unit(evaluation or (0, 1)):
        low, high = (np.asarray(end, float) for end in evaluation or (0, 1))
        raise ValueError(
            f"evaluation examples run from {low.min():g} to {high.max():g}, and training examples"
            " are stored as 8 or 16 bits; store both as one dtype"
        )


def range_from_json(ends: Any) -> ValueRange | None:
    """Undo `range_as_json`."""
    if ends is None:
        return None
    low, high = (np.array(end) if isinstance(end, Sequence) else end for end in ends)
    return low, high


def range_as_json(value_range: ValueRange | None) -> list | None:
    """Turn a range into lists of Python's own numbers, which `longdouble` has none of."""
    ends = np.asarray(value_range)
    return (ends.astype(np.float64) if ends.dtype.kind == "f" else ends).tolist()
