"""A window that goes where the error is, as wide as the error is spread."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from maskjax.masking.checks import check_number, per_position
from maskjax.masking.core import grid_length
from maskjax.masking.registry import register
from maskjax.typing import Array, Bool, Float, Int, Key


@register("error_window", on=("image", "audio", "sequence", "text"))
def error_window(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    losses: Float[Array, "L"],
    axis: int = -1,
    temperature: int | float = 1.0,
    is_candidate: Bool[Array, "L"] | None = None,
) -> Float[Array, "L"]:
    """Hides a contiguous window that place and extent of the losses decide, and the rest at random.

    A rule of this project. Positions are ordered as by `sliding`: along `axis` first, wrapping
    around. The extent is the participation number of the losses, (sum l)^2 / sum l^2, rounded to
    the nearest and from 1 to `num_masked`: the number of positions that share the error. Of L equal
    losses it is L, so that the window takes the whole count; the more the error is concentrated
    the narrower the window, and the more positions are left to chance. The start is drawn in
    proportion to the sum of losses within, to the power 1 / temperature.

    Args:
        key: draws the start and the random rest.
        grid: positions along each axis.
        num_masked: how many positions are hidden in all.
        losses: predicted or running losses, at least 0; those below count as 0. Where all are 0
            they count as equal.
        axis: the axis that the window extends along.
        temperature: finite, at least 0; 0 takes the window of the largest sum, the first of equals.
        is_candidate: False where a position must stay visible; its loss counts as 0.

    Returns:
        U[.5, 1) in the window, U[0, .5) elsewhere.

    Raises:
        ValueError: losses of another length, an axis that the grid lacks, or a temperature that is
            infinite or below 0.

    Examples:
        >>> losses = jnp.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
        >>> scores = error_window(jax.random.key(0), (6,), 3, losses=losses, temperature=0)
        >>> (scores >= 0.5).astype(int).tolist()
        [0, 0, 1, 1, 0, 0]
    """
    losses, length = per_position("losses", losses, grid), grid_length(grid)
    if is_candidate is not None:
        losses = jnp.where(is_candidate, losses, 0)
    axis = check_number("axis", axis)
    if not -len(grid) <= axis < len(grid):
        raise ValueError(f"axis {axis} is not one of the {len(grid)} of grid {grid}")
    if not isinstance(temperature, Tracer):
        temperature = check_number("temperature", temperature)
        if not 0 <= temperature < float("inf"):
            raise ValueError(f"temperature {temperature} must be finite and at least 0")
    # What is at each place of the order, and the place of each position.
    at = np.moveaxis(np.arange(length).reshape(grid), axis, 0).reshape(-1)
    place = jnp.asarray(np.argsort(at), jnp.int32)
    losses = jnp.maximum(losses.astype(jnp.float32), 0)[jnp.asarray(at)]
    largest = losses.max()
    losses = jnp.where(largest > 0, losses / jnp.where(largest > 0, largest, 1), 1)
    spread = jnp.square(losses.sum()) / jnp.square(losses).sum()
    extent = jnp.clip(jnp.round(spread).astype(jnp.int32), 1, jnp.maximum(num_masked, 1))
    sums = jnp.concatenate([jnp.zeros(1), jnp.cumsum(jnp.tile(losses, 2))])
    starts = jnp.arange(length)
    within = jnp.maximum(sums[starts + extent] - sums[starts], 0)
    start_key, noise_key = jax.random.split(key)
    noise = jax.random.gumbel(start_key, (length,))
    start = jnp.argmax(jnp.log(within) + jnp.float32(temperature) * noise)
    is_within = (place - start) % length < extent
    scores = jax.random.uniform(noise_key, (length,)) + is_within.astype(jnp.float32)
    return scores / 2 if is_candidate is None else jnp.where(is_candidate, scores / 2, -jnp.inf)
