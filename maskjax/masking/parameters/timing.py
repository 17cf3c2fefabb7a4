"""When parameter masks change, and how much is hidden then: functions of the steps done."""

import jax.numpy as jnp

from maskjax.masking.parameters.options import Options
from maskjax.masking.parameters.sparsities import BENDS
from maskjax.typing import Array, Float, Int


def latest_change(options: Options, number: int | Int[Array, "*b"]) -> Int[Array, "*b"]:
    """The last step at or before one at which masks are to change; -1 where there is none.

    A change that a skipped step could not make is so made by the next.

    Args:
        options: "begin_step", "end_step", "every_steps" and "release_step" are read.
        number: steps done.

    Returns:
        Steps done at that change.
    """
    number, begin = jnp.asarray(number, jnp.int32), options.begin_step
    last = begin
    if options.every_steps:
        at = jnp.minimum(number, options.end_step) if options.end_step else number
        last = begin + (at - begin) // options.every_steps * options.every_steps
        if options.is_ramp:
            last = jnp.where(number >= options.end_step, options.end_step, last)
    if options.release_step:
        last = jnp.where(number >= options.release_step, options.release_step, last)
    return jnp.where(number >= begin, last, -1)


def share_reached(
    options: Options, number: int | Int[Array, "*b"], losses: tuple[Array, Array] | None = None
) -> float | Float[Array, "*b"]:
    """The part of the whole sparsity that is reached at a step.

    Zhu & Gupta 2018 (To Prune, or Not to Prune, section 3) is "cubic".

    Args:
        options: "schedule", "begin_step" and "end_step" are read.
        number: steps done.
        losses: the first, and a running mean, for "error": as the loss falls, less is hidden.

    Returns:
        1 for "one_shot", else the way from the beginning to the end, as the schedule bends it, and
        at the end exactly 1; or the running loss as a part of the first.
    """
    if options.schedule == "one_shot":
        return 1.0
    if options.schedule == "error":
        first, now = losses or (jnp.float32(0), jnp.float32(0))
        return jnp.where(first > 0, jnp.clip(now / jnp.maximum(first, 1e-30), 0.0, 1.0), 1.0)
    length = options.end_step - options.begin_step
    done = jnp.asarray(number, jnp.int32) - options.begin_step
    way = jnp.clip(done.astype(jnp.float32) / length, 0.0, 1.0)
    return jnp.where(done >= length, 1.0, BENDS[options.schedule](way))


def share_dropped(options: Options, number: int | Int[Array, "*b"]) -> Float[Array, "*b"]:
    """The share of the kept weights that a change drops, to grow as many.

    Evci et al. 2020 (RigL, section 3, item 2): a / 2 (1 + cos(pi t / T)) with "cosine".

    Args:
        options: "drop", "drop_schedule" and "end_step" are read.
        number: t, steps done; T is the end, or that of the run.
    """
    drop = jnp.float32(options.drop)
    if options.drop_schedule == "constant":
        return drop
    end = max(options.end_step or options.total_steps, 1)
    way = jnp.clip(jnp.asarray(number, jnp.float32) / end, 0.0, 1.0)
    return drop * 0.5 * (1 + jnp.cos(jnp.pi * way))
