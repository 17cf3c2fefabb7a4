"""What the audio rules share: real frames, budgets, bands of scores."""

import jax
import jax.numpy as jnp

from maskjax.typing import Array, Bool, Float, Key


def real_along(
    is_candidate: Bool[Array, "L"] | None, grid: tuple[int, ...], axis: int
) -> Bool[Array, "side"]:
    """True for the places along an axis that hold a candidate."""
    if is_candidate is None:
        return jnp.ones(grid[axis], bool)
    return jnp.moveaxis(is_candidate.reshape(grid), axis, 0).reshape(grid[axis], -1).any(axis=1)


def spread(flags: Bool[Array, "side"], grid: tuple[int, ...], axis: int) -> Bool[Array, "L"]:
    """Flags along one axis, the same at all places of the others."""
    sides = [1] * len(grid)
    sides[axis] = grid[axis]
    return jnp.broadcast_to(flags.reshape(sides), grid).reshape(-1)


def scores_of_chosen(
    key: Key[Array, ""], is_chosen: Bool[Array, "L"], is_candidate: Bool[Array, "L"] | None
) -> Float[Array, "L"]:
    """U[1, 2) where chosen, U[0, 1) elsewhere, -inf where a position must stay visible."""
    scores = jax.random.uniform(key, is_chosen.shape) + is_chosen.astype(jnp.float32)
    return scores if is_candidate is None else jnp.where(is_candidate, scores, -jnp.inf)
