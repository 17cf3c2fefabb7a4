"""How badly an example is predicted: a score by which unusual ones stand out."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from maskjax.tasks.task import Context
from maskjax.typing import Array, Float, Int

NUM_DRAWS = 4  # where 75 % are hidden, one of them hides a given patch in 255 of 256 cases


def mean_error(
    errors: Callable[[Context], tuple[Array, Array]], context: Context, *, is_drawn: bool = True
) -> Float[Array, "B"]:
    """Average an example's errors over several masks: high for what the training data lack.

    The reconstruction error as an anomaly score is as old as autoencoders (Japkowicz et al. 1995);
    a masked one is shown nothing of what it predicts.

    Args:
        errors: context -> errors [B, L] and what they weigh [B, L], for the masks of its keys.
        context: keys fix the masks.
        is_drawn: False where keys decide nothing: one mask does.

    Returns:
        One number an example, in the units of the loss; 0 where nothing counts.
    """

    def summed(context: Context) -> tuple[Array, Array]:
        found, weights = errors(context)
        return (found * weights).sum(1), weights.sum(1)

    def draw(number: Int[Array, ""]) -> tuple[Array, Array]:
        keys = jax.vmap(jax.random.fold_in, (0, None))(context.keys, number)
        return summed(dataclasses.replace(context, keys=keys))

    if is_drawn:
        sums, weights = (x.sum(0) for x in jax.lax.map(draw, jnp.arange(NUM_DRAWS)))
    else:
        sums, weights = summed(context)
    return sums / jnp.maximum(weights, jnp.finfo(jnp.float32).tiny)
