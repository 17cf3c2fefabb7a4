"""The learning rate: scaled to the batch, warmed up, then a cosine, or what evaluations say."""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from absl import logging

from maskjax.typing import Array, Float, Int


def peak_learning_rate(base_lr: float, batch_size: int) -> float:
    """Scale a base learning rate to the batch: base_lr * batch_size / 256 (Goyal et al. 2017).

    Args:
        base_lr: rate for a batch of 256 examples.
        batch_size: examples in one update, over all devices and accumulation steps.

    Returns:
        The rate that warm-up ends at.

    Example:
        >>> peak_learning_rate(1.5e-4, 4096)
        0.0024
    """
    return base_lr * batch_size / 256


def learning_rate(
    step: Int[Array, ""] | int,
    *,
    peak: float,
    total_steps: int,
    warmup_steps: int = 0,
    min_lr: float = 0.0,
) -> Float[Array, ""]:
    """Linear warm-up from 0, then half a cosine down to `min_lr` (He et al. 2022, appendix A.1).

    A run shorter than its warm-up stays in the warm-up.

    Args:
        step: steps done so far; the first update has step 0, and with a warm-up a rate of 0.
        peak: rate at the end of the warm-up.
        total_steps: step at which the rate would reach `min_lr`.
        warmup_steps: length of the warm-up.
        min_lr: rate at the end.

    Returns:
        The rate of the update that follows `step` done ones, f32 scalar.
    """
    done = jnp.asarray(step, jnp.float32)
    progress = jnp.clip((done - warmup_steps) / max(total_steps - warmup_steps, 1), 0.0, 1.0)
    cosine = min_lr + (peak - min_lr) * 0.5 * (1.0 + jnp.cos(jnp.pi * progress))
    return _warmed_up(done, peak, warmup_steps, cosine)


def plateau_rate(
    step: Int[Array, ""] | int,
    factor: Float[Array, ""] | float,
    *,
    peak: float,
    warmup_steps: int = 0,
    min_lr: float = 0.0,
) -> Float[Array, ""]:
    """Linear warm-up from 0, then the peak times a factor, but no less than `min_lr`.

    Args:
        step: steps done so far.
        factor: what evaluations have made of the rate (`watch.observe`).
        peak: rate at the end of the warm-up.
        warmup_steps: length of the warm-up.
        min_lr: the least rate after it.

    Returns:
        The rate of the update that follows `step` done ones, f32 scalar.
    """
    done = jnp.asarray(step, jnp.float32)
    lowered = jnp.maximum(jnp.float32(peak) * factor, jnp.float32(min_lr))
    return _warmed_up(done, peak, warmup_steps, lowered)


def _warmed_up(done: Array, peak: float, warmup_steps: int, after: Array) -> Array:
    """A line from 0 to the peak, and then what comes after it."""
    return jnp.where(done < warmup_steps, peak * done / max(warmup_steps, 1), after)


def make_schedule(config: Any, num_steps: int | None = None) -> Callable[[Any, Any], Any]:
    """Make the learning rate of a step number and of the factor that evaluations made.

    Args:
        config: the whole config.
        num_steps: in which it falls; None for all steps of the run.
    """
    options = config.optimizer
    given = {
        "peak": peak_learning_rate(options.base_lr, config.batch_size),
        "warmup_steps": options.warmup_steps,
        "min_lr": options.min_lr,
    }
    if options.schedule == "plateau":
        return functools.partial(plateau_rate, **given)
    total = num_steps or config.total_steps
    return lambda step, factor: learning_rate(step, **given, total_steps=total)


def check_rates(config: Any) -> None:
    """Refuse a least learning rate above the peak; warn where the rate never gets to its peak.

    Args:
        config: the whole config.

    Raises:
        ValueError: names the key, its value and its limit.
    """
    options = config.optimizer
    peak = peak_learning_rate(options.base_lr, config.batch_size)
    if peak and options.min_lr > peak:
        raise ValueError(
            f"optimizer.min_lr is {options.min_lr}: it must be at most the peak {peak}, which is "
            "optimizer.base_lr * batch_size / 256"
        )
    if peak and options.warmup_steps >= config.total_steps > 0:
        logging.warning(
            "optimizer.warmup_steps is %d of total_steps %d: the run ends within its warm-up; "
            "lower the one or raise the other.",
            options.warmup_steps, config.total_steps,
        )  # fmt: skip
