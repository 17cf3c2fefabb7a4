"""How many positions each step of iterative unmasking reveals."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.checks import as_integers, check_whole
from maskjax.typing import Array, Int

UNMASKING_SCHEDULES = ("cosine", "linear", "even")
# So that products stay below 2^32: digits of a cosine in base 2^11, and positions below 2^21.
_DIGIT_BITS, _NUM_DIGITS = 11, 5
_MAX_HIDDEN, _MAX_STEPS = 2**21 - 1, 2**15


def unmasking_schedule(name: str, num_hidden: int, num_steps: int) -> np.ndarray:
    """How many positions each step reveals; `num_hidden` in all, the same for every row.

    "cosine" and "linear" are those of Chang et al. 2022 (MaskGIT, section 3.3 and the released
    code): after step i of T, floor(N cos(pi i / 2T)) or floor(N (1 - i / T)) positions are hidden,
    and while more than one is left, at least one is revealed and one stays. These are the floors
    of exact numbers; the released code takes those of float32, which can be one less where the
    number is whole, as N cos(pi / 3) = N / 2 is where 3 divides T. "even" is the one of
    Nie et al. 2025 (LLaDA, released code): N // T a step, and one more in the first N % T. Rows
    with prompts of different lengths have counts of their own: `unmasking_counts`.

    Args:
        name: one of UNMASKING_SCHEDULES.
        num_hidden: N, positions that are hidden at first, at least 0.
        num_steps: T, at least 1. With more steps than positions some reveal nothing.

    Returns:
        int32 counts, one a step; the xs of a lax.scan.

    Raises:
        ValueError: an unknown name, or a number out of range.

    Examples:
        >>> unmasking_schedule("cosine", 256, 8).tolist()
        [5, 15, 24, 31, 39, 45, 48, 49]
        >>> unmasking_schedule("even", 10, 4).tolist()
        [3, 3, 2, 2]
    """
    _check_name(name)
    check_whole("num_hidden", num_hidden, least=None)
    check_whole("num_steps", num_steps, least=None)
    if num_hidden < 0 or num_steps < 1:
        raise ValueError(
            f"num_hidden {num_hidden} must be at least 0 and num_steps {num_steps} at least 1"
        )
    if name == "even":
        base, rest = divmod(num_hidden, num_steps)
        return np.array([base + (i < rest) for i in range(num_steps)], np.int32)
    left = [num_hidden]
    for step in range(1, num_steps):
        if name == "linear":
            goal = num_hidden * (num_steps - step) // num_steps
        else:
            goal = math.floor(num_hidden * math.cos(math.pi * step / (2 * num_steps)))
        left.append(min(max(1, min(left[-1] - 1, goal)), left[-1]))
    return -np.diff([*left, 0]).astype(np.int32)


def unmasking_counts(
    name: str, num_hidden: Int[Array, "B"], num_steps: int
) -> Int[Array, "num_steps B"]:
    """How many positions each step reveals in each row, for prompts of different lengths.

    `unmasking_schedule` of each row's own count: that of Chang et al. 2022 (MaskGIT) or of Nie et
    al. 2025 (LLaDA); may be traced, and is exact.

    Args:
        name: one of UNMASKING_SCHEDULES.
        num_hidden: N, positions of each row that are hidden at first (`is_masked.sum(axis=1)`);
            clipped to 0 ... 2^21 - 1.
        num_steps: T, from 1 to 2^15.

    Returns:
        int32 counts that add up to N in each row; the xs of a lax.scan over `unmask_step`.

    Raises:
        ValueError: an unknown name, or a number of steps out of range.

    Examples:
        >>> unmasking_counts("even", jnp.array([10, 3]), 4).T.tolist()
        [[3, 3, 2, 2], [1, 1, 1, 0]]
        >>> unmasking_counts("cosine", jnp.array([256]), 8)[:, 0].tolist()
        [5, 15, 24, 31, 39, 45, 48, 49]
    """
    _check_name(name)
    check_whole("num_steps", num_steps, least=None)
    if not 1 <= num_steps <= _MAX_STEPS:
        raise ValueError(f"num_steps {num_steps} must be from 1 to {_MAX_STEPS}")
    num_hidden = as_integers("num_hidden", num_hidden)
    if num_hidden.ndim != 1:
        raise ValueError(
            f"num_hidden of shape {num_hidden.shape}: give a number for each row, "
            "is_masked.sum(axis=1); unmasking_schedule takes one for all"
        )
    num_hidden = jnp.clip(num_hidden, 0, _MAX_HIDDEN).astype(jnp.int32)[None]
    steps = jnp.arange(num_steps, dtype=jnp.int32)[:, None]
    if name == "even":
        return num_hidden // num_steps + (steps < num_hidden % num_steps)
    if name == "linear":
        # N (T - i) // T, in parts so that the product of N and T need not fit.
        left = num_steps - steps
        goals = num_hidden // num_steps * left + num_hidden % num_steps * left // num_steps
    else:
        goals = _cosine_goals(num_hidden, num_steps)
    # left[i] = max(1, min(left[i - 1] - 1, goals[i])), so that left[i] + i is a running minimum.
    left = jnp.maximum(jax.lax.cummin(goals + steps) - steps, 1)
    left = jnp.minimum(left, num_hidden)
    return left - jnp.concatenate([left[1:], jnp.zeros_like(num_hidden)])


def _cosine_goals(num_hidden: Int[Array, "1 B"], num_steps: int) -> Int[Array, "num_steps B"]:
    """floor(N cos(pi i / 2T)) of steps 0 ... T - 1: float64 cosines, times N digit by digit."""
    cosines = [math.cos(math.pi * step / (2 * num_steps)) for step in range(1, num_steps)]
    rests, digits = np.array(cosines, np.float64)[:, None], []
    for _ in range(_NUM_DIGITS):
        rests, whole = np.modf(rests * 2**_DIGIT_BITS)
        digits.append(whole.astype(np.uint32))
    goals = jnp.zeros((1, 1), jnp.uint32)
    for digit in reversed(digits):
        goals = (num_hidden.astype(jnp.uint32) * digit + goals) >> _DIGIT_BITS
    return jnp.concatenate([num_hidden, goals.astype(jnp.int32)])


def _check_name(name: str) -> None:
    if name not in UNMASKING_SCHEDULES:
        raise ValueError(f"unknown unmasking schedule {name!r}; known: {UNMASKING_SCHEDULES}")
