"""Mask-ratio schedules: a pure function of (step, key), with static bounds for static shapes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from maskjax.masking.checks import check_whole
from maskjax.masking.counts import (
    as_ratio,
    num_masked_from_ratio,
    num_masked_from_traced_ratio,
)
from maskjax.masking.registry import bind, missing_options
from maskjax.typing import Array, Float, Int, Key

# Folded into keys, so that a rule given the same key draws its noise from other bits.
_FOLD = 0x5C4ED


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A mask ratio that may change with the step or be drawn from a key.

    Attributes:
        min_ratio: smallest ratio that can occur, strictly between 0 and 1.
        max_ratio: largest ratio that can occur, strictly between 0 and 1.
        ratio: (step, key) -> float32 scalar; pure and traceable. Vmap it over keys for a ratio per
            example. The key may be the one that the masking rule uses.

    Raises:
        ValueError: a bound outside (0, 1), or bounds in the wrong order.

    Examples:
        >>> schedule = linear(start=0.5, end=0.75, total_steps=100)
        >>> schedule.min_num_masked(196), schedule.max_num_masked(196)
        (98, 147)
        >>> schedule.num_masked(196, 50, jax.random.key(0)).item()
        123
    """

    min_ratio: float
    max_ratio: float
    ratio: Callable[[Any, Any], Array]

    def __post_init__(self):
        """Refuses bounds that no count can follow from."""
        for bound in (self.min_ratio, self.max_ratio):
            as_ratio(bound)
        if self.min_ratio > self.max_ratio:
            raise ValueError(
                f"lowest mask ratio {self.min_ratio} exceeds the highest, {self.max_ratio}"
            )

    def num_masked(
        self, length: int, step: int | Int[Array, ""], key: Key[Array, ""]
    ) -> Int[Array, ""]:
        """How many of `length` positions to hide: always within the static bounds below."""
        count = num_masked_from_traced_ratio(length, self.ratio(step, key))
        return jnp.clip(count, self.min_num_masked(length), self.max_num_masked(length))

    def min_num_masked(self, length: int) -> int:
        """The smallest count that can occur; `cut_slots` sizes its slots by it."""
        return num_masked_from_ratio(length, self.min_ratio)

    def max_num_masked(self, length: int) -> int:
        """The largest count that can occur."""
        return num_masked_from_ratio(length, self.max_ratio)


def constant(*, ratio: float) -> Schedule:
    """The same ratio at every step.

    Args:
        ratio: strictly between 0 and 1.

    Returns:
        A Schedule whose two bounds are equal: its count is `num_masked_from_ratio` exactly.

    Raises:
        ValueError: a ratio outside (0, 1).

    Examples:
        >>> constant(ratio=0.9).num_masked(196, 0, jax.random.key(0)).item()
        177
    """
    return Schedule(ratio, ratio, lambda step, key: jnp.float32(ratio))


def linear(*, start: float, end: float, total_steps: int) -> Schedule:
    """Moves in a straight line from one ratio to another, and stays there.

    Ankner et al. 2023 (Dynamic Masking Rate Schedules for MLM Pretraining) decrease it so.

    Args:
        start: ratio at step 0, strictly between 0 and 1.
        end: ratio from step `total_steps` on.
        total_steps: length of the way, at least 1.

    Returns:
        A Schedule between the two.

    Raises:
        ValueError: a ratio outside (0, 1) or fewer steps than 1.

    Examples:
        >>> schedule = linear(start=0.3, end=0.15, total_steps=10)
        >>> [round(float(schedule.ratio(step, None)), 3) for step in (0, 5, 10, 20)]
        [0.3, 0.225, 0.15, 0.15]
    """
    return _between(start, end, total_steps, lambda progress: progress)


def cosine(*, start: float, end: float, total_steps: int) -> Schedule:
    """Moves along half a cosine from one ratio to another, and stays there: slow, fast, slow.

    Args:
        start: ratio at step 0, strictly between 0 and 1.
        end: ratio from step `total_steps` on.
        total_steps: length of the way, at least 1.

    Returns:
        A Schedule between the two.

    Raises:
        ValueError: a ratio outside (0, 1) or fewer steps than 1.

    Examples:
        >>> schedule = cosine(start=0.5, end=0.9, total_steps=4)
        >>> [round(float(schedule.ratio(step, None)), 3) for step in range(6)]
        [0.5, 0.559, 0.7, 0.841, 0.9, 0.9]
    """
    return _between(start, end, total_steps, lambda progress: (1 - jnp.cos(jnp.pi * progress)) / 2)


def uniform(*, low: float, high: float) -> Schedule:
    """Draws the ratio uniformly, anew for each key.

    Args:
        low: smallest ratio, strictly between 0 and 1.
        high: largest ratio, strictly between 0 and 1, not below low.

    Returns:
        A Schedule that does not depend on the step.

    Raises:
        ValueError: a ratio outside (0, 1), or low above high.

    Examples:
        >>> schedule = uniform(low=0.5, high=0.75)
        >>> 0.5 <= schedule.ratio(0, jax.random.key(0)).item() < 0.75
        True
    """

    def ratio(step, key):
        weight = jax.random.uniform(jax.random.fold_in(key, _FOLD))
        return _mix(low, high, weight)

    return Schedule(low, high, ratio)


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "uniform": uniform,
}


def make_schedule(name: str, **options: Any) -> Schedule:
    """A schedule by name.

    Args:
        name: a key of SCHEDULES.
        **options: keyword arguments of that schedule.

    Returns:
        The Schedule.

    Raises:
        ValueError: an unknown name or option (the message lists the known ones), or one missing.

    Examples:
        >>> make_schedule("uniform", low=0.5, high=0.75).max_ratio
        0.75
    """
    schedule = bind("mask-ratio schedule", SCHEDULES, name, options)
    for option in missing_options(schedule, {}):
        raise ValueError(f"mask-ratio schedule {name!r} needs {option!r}")
    return schedule()


def _between(start: float, end: float, total_steps: int, shape: Callable) -> Schedule:
    """From start to end; shape maps progress in [0, 1] to the weight of the end."""
    check_whole("total_steps", total_steps)
    start, end = as_ratio(start), as_ratio(end)

    def ratio(step, key):
        progress = jnp.minimum(jnp.float32(step) / total_steps, 1.0)
        return _mix(start, end, shape(progress))

    return Schedule(min(start, end), max(start, end), ratio)


def _mix(start: float, end: float, weight: Float[Array, ""]) -> Float[Array, ""]:
    """(1 - weight) start + weight end: in this form both ends come out exactly."""
    return (1 - weight) * start + weight * end
