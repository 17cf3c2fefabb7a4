"""Rules that score the weights of one array: higher = sooner hidden (pruned)."""

import jax.numpy as jnp
import numpy as np

from maskjax.masking.checks import as_wide, per_axis
from maskjax.masking.registry import register
from maskjax.typing import Array, Float, Int, Key


@register("magnitude", on=("weights",))
def magnitude(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    weights: Float[Array, "*grid"],
) -> Float[Array, "L"]:
    """Hides the weights that are nearest to zero.

    Han et al. 2015 (Learning both Weights and Connections, section 3); Zhu & Gupta 2018. Of equal
    magnitudes the cut keeps the lowest index.

    Args:
        key: not used.
        grid: shape of the weights.
        num_masked: not used.
        weights: the numbers themselves; an infinite one is never hidden.

    Returns:
        -|w|.

    Raises:
        ValueError: weights of another shape.

    Examples:
        >>> import jax
        >>> magnitude(jax.random.key(0), (3,), 1, weights=jnp.array([-2.0, 0.5, 1.0])).tolist()
        [-2.0, -0.5, -1.0]
    """
    return -abs(_flat("weights", weights, grid))


@register("saliency", on=("weights",))
def saliency(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    weights: Float[Array, "*grid"],
    gradients: Float[Array, "*grid"],
) -> Float[Array, "L"]:
    """Hides the weights whose removal changes the loss least, to first order.

    Lee et al. 2019 (SNIP, section 4.1): |w g| up to a constant factor.

    Args:
        key: not used.
        grid: shape of the weights.
        num_masked: not used.
        weights: the numbers themselves.
        gradients: of the loss, over as many examples as wanted.

    Returns:
        -|w g|.

    Raises:
        ValueError: an array of another shape.

    Examples:
        >>> import jax
        >>> weights, gradients = jnp.array([-2.0, 0.5]), jnp.array([0.5, 4.0])
        >>> saliency(jax.random.key(0), (2,), 1, weights=weights, gradients=gradients).tolist()
        [-1.0, -2.0]
    """
    return -abs(_flat("weights", weights, grid) * _flat("gradients", gradients, grid))


@register("fisher", on=("weights",))
def fisher(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    gradients: Float[Array, "*grid"],
) -> Float[Array, "L"]:
    """Hides the weights on which the loss depends least: those of the least Fisher information.

    Xu et al. 2021 (Child-Tuning, section 2.3): the diagonal of the information matrix is the mean
    of squared gradients.

    Args:
        key: not used.
        grid: shape of the weights.
        num_masked: not used.
        gradients: of the loss, or sums of their squares over batches.

    Returns:
        -|g|.

    Raises:
        ValueError: an array of another shape.

    Examples:
        >>> import jax
        >>> fisher(jax.random.key(0), (2,), 1, gradients=jnp.array([0.5, -4.0])).tolist()
        [-0.5, -4.0]
    """
    return -abs(_flat("gradients", gradients, grid))


@register("steepest", on=("weights",))
def steepest(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    gradients: Float[Array, "*grid"],
) -> Float[Array, "L"]:
    """Hides the weights on which the loss depends most, so that they are learned anew.

    This project's own: the adaptive place of tutorials that mask weights by the error.

    Args:
        key: not used.
        grid: shape of the weights.
        num_masked: not used.
        gradients: of the loss.

    Returns:
        |g|.

    Raises:
        ValueError: an array of another shape.

    Examples:
        >>> import jax
        >>> steepest(jax.random.key(0), (2,), 1, gradients=jnp.array([0.5, -4.0])).tolist()
        [0.5, 4.0]
    """
    return abs(_flat("gradients", gradients, grid))


@register("movement", on=("weights",))
def movement(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    movement: Float[Array, "*grid"],
) -> Float[Array, "L"]:
    """Hides the weights that training moves towards zero.

    Sanh et al. 2020 (Movement Pruning, section 4): the highest sums are kept.

    Args:
        key: not used.
        grid: shape of the weights.
        num_masked: not used.
        movement: the sum of -w g over the steps (`accumulate_movement`).

    Returns:
        Minus the movement.

    Raises:
        ValueError: a movement of another shape.

    Examples:
        >>> import jax
        >>> movement(jax.random.key(0), (2,), 1, movement=jnp.array([0.5, -4.0])).tolist()
        [-0.5, 4.0]
    """
    return -_flat("movement", movement, grid)


@register("weight_blocks", on=("weights",))
def weight_blocks(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    weights: Float[Array, "*grid"],
    tile: int | tuple[int, ...] = 4,
) -> Float[Array, "L"]:
    """Hides whole tiles of weights, those whose largest magnitude is smallest.

    Narang et al. 2017 (Block-Sparse Recurrent Neural Networks, section 3.1); others take a norm of
    the tile. Tiles start at index 0 and are cut off at the end. At a count that falls within a tile
    its lowest indices are kept; tiles with the same score share what is hidden in that order.

    Args:
        key: not used.
        grid: shape of the weights.
        num_masked: not used; multiples of the tile's size hide tiles whole.
        weights: the numbers themselves.
        tile: side of a tile, for all axes or one per axis; at least 1. A longer side than the
            axis's is the axis's.

    Returns:
        Minus the largest magnitude of each weight's tile.

    Raises:
        ValueError: weights of another shape, or a tile below 1 or not one per axis.

    Examples:
        >>> import jax
        >>> weights = jnp.array([[1.0, 2.0, 0.0, 0.5]])
        >>> weight_blocks(jax.random.key(0), (1, 4), 2, weights=weights, tile=2).tolist()
        [-2.0, -2.0, -0.5, -0.5]
    """
    tiles = per_axis("tile", tile, grid)
    sizes = abs(_flat("weights", weights, grid)).reshape(grid)
    for axis, (side, length) in enumerate(zip(tiles, grid)):
        side = min(side, length)
        padded = [(0, -length % side if i == axis else 0) for i in range(len(grid))]
        shape = (*sizes.shape[:axis], -1, side, *sizes.shape[axis + 1 :])
        largest = jnp.pad(sizes, padded).reshape(shape).max(axis=axis + 1)
        sizes = jnp.repeat(largest, side, axis=axis)
        sizes = jnp.take(sizes, np.arange(length), axis=axis)
    return -sizes.reshape(-1)


def _flat(name: str, values: Array, grid: tuple[int, ...]) -> Array:
    """The values in raster order, in float32 at least: products of bfloat16 would tie."""
    values = as_wide(name, values)
    if values.shape != tuple(grid):
        raise ValueError(f"{name} of shape {values.shape} for grid {grid}: they must be the same")
    return values.reshape(-1)
