"""How many tokens, in how many spans, SpanBERT and T5 hide in rows of different lengths."""

import math

from maskjax.masking.checks import check_number
from maskjax.masking.counts import as_ratio, counts_of_lengths
from maskjax.typing import Array, Int


def spanbert_num_masked(
    lengths: Int[Array, "*b"], ratio: float, *, max_length: int
) -> Int[Array, "*b"]:  # fmt: skip
    """How many tokens SpanBERT hides in rows of different lengths: ceil(length * ratio).

    Joshi et al. 2020 (SpanBERT, the released sampler), in Python's floats.

    Args:
        lengths: tokens that may be hidden in each row; not above `max_length`.
        ratio: hidden share, strictly between 0 and 1; SpanBERT uses 0.15.
        max_length: static upper bound of the lengths.

    Returns:
        Counts from 0 to `max_length`.

    Raises:
        ValueError: a ratio outside (0, 1), or a bound below 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> spanbert_num_masked(jnp.array([0, 1, 20, 21, 510]), 0.15, max_length=510).tolist()
        [0, 1, 3, 4, 77]
    """
    return counts_of_lengths(
        lengths, ratio, max_length, lambda length, share: math.ceil(length * share)
    )


def t5_num_masked(
    lengths: Int[Array, "*b"], ratio: float, *, max_length: int
) -> Int[Array, "*b"]:  # fmt: skip
    """How many tokens T5 hides in rows of different lengths.

    Raffel et al. 2020 (T5, the released `random_spans_noise_mask`):
    `clip(round(length * ratio), 1, length - 1)` in Python's floats and its rounding of halves to
    even, so that something is hidden and something is not; a row of one token hides nothing.

    Args:
        lengths: tokens that may be hidden in each row; not above `max_length`.
        ratio: hidden share, strictly between 0 and 1; T5 uses 0.15.
        max_length: static upper bound of the lengths.

    Returns:
        Counts from 0 to `max_length` - 1.

    Raises:
        ValueError: a ratio outside (0, 1), or a bound below 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> t5_num_masked(jnp.array([0, 1, 2, 10, 568]), 0.15, max_length=568).tolist()
        [0, 0, 1, 2, 85]
    """
    return counts_of_lengths(lengths, ratio, max_length, num_noise)


def num_noise(length: int, ratio: float) -> int:
    """T5's number of hidden tokens of one length."""
    return max(0, min(max(round(length * as_ratio(ratio)), 1), length - 1))


def num_spans(num_masked: int, mean_span_length: int | float) -> int:
    """T5's number of spans: max(1, round(n / mean)), halves to even."""
    mean_span_length = check_number("mean_span_length", mean_span_length)
    if mean_span_length < 1:
        raise ValueError(f"mean_span_length {mean_span_length} must be at least 1; T5 uses 3.0")
    return max(1, round(num_masked / mean_span_length))
