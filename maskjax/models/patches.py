"""Cutting inputs of any rank into patches, and position embeddings for their grid."""

import math
from collections.abc import Sequence

import numpy as np

from maskjax.typing import Array, Float, Shaped


def grid_shape(shape: Sequence[int], patch_size: Sequence[int]) -> tuple[int, ...]:
    """The number of patches along each axis.

    Args:
        shape: Sizes of one example: its axes, then channels, such as (224, 224, 3).
        patch_size: One side an axis, such as (16, 16).

    Returns:
        One count an axis.

    Raises:
        ValueError: If the ranks differ or a side does not divide its axis.

    >>> grid_shape((32, 48, 3), (8, 16))
    (4, 3)
    """
    sizes, patch_size = tuple(shape[:-1]), tuple(patch_size)
    if len(sizes) != len(patch_size):
        raise ValueError(
            f"patch size {patch_size} has {len(patch_size)} sides, but an example of shape "
            f"{tuple(shape)} (channels last) has {len(sizes)} axes: give one side an axis"
        )
    for axis, (size, side) in enumerate(zip(sizes, patch_size)):
        if side < 1 or size % side:
            divisors = [d for d in range(1, size + 1) if size % d == 0]
            raise ValueError(
                f"patch side {side} does not divide axis {axis} of size {size}: "
                f"choose one of {divisors}, or resize the data"
            )
    return tuple(size // side for size, side in zip(sizes, patch_size))


def patchify(x: Shaped[Array, "B *shape"], patch_size: Sequence[int]) -> Shaped[Array, "B L P"]:
    """Cuts examples into patches: raster order, and in a patch row, column, then channel.

    He et al. 2022, section 3; for images this is the reference's `nchpwq -> nhwpqc`.

    Args:
        x: Inputs [B, axis sizes, C], of any number of axes; of numbers, or of bools.
        patch_size: One side an axis.

    Returns:
        Patches [B, L, P] with P = product of the sides times C.

    >>> import jax.numpy as jnp
    >>> patchify(jnp.arange(8.0).reshape(1, 4, 2), (2,)).tolist()
    [[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]]
    """
    grid, n = grid_shape(x.shape[1:], patch_size), len(patch_size)
    split = [size for pair in zip(grid, patch_size) for size in pair]
    x = x.reshape(x.shape[0], *split, x.shape[-1])
    order = [0, *range(1, 2 * n, 2), *range(2, 2 * n + 1, 2), 2 * n + 1]
    return x.transpose(order).reshape(x.shape[0], math.prod(grid), -1)


def unpatchify(
    patches: Shaped[Array, "B L P"], shape: Sequence[int], patch_size: Sequence[int]
) -> Shaped[Array, "B *shape"]:
    """Puts patches back together; the inverse of `patchify`.

    Args:
        patches: Patches [B, L, P]; of numbers, or of bools.
        shape: Sizes of one example, channels last.
        patch_size: One side an axis.

    Returns:
        Examples [B, *shape].
    """
    grid, n = grid_shape(shape, patch_size), len(patch_size)
    x = patches.reshape(patches.shape[0], *grid, *patch_size, shape[-1])
    order = [0, *(i for pair in zip(range(1, n + 1), range(n + 1, 2 * n + 1)) for i in pair)]
    return x.transpose([*order, 2 * n + 1]).reshape(patches.shape[0], *shape)


def sincos_positions(grid: Sequence[int], width: int) -> Float[np.ndarray, "L D"]:
    """Fixed sin-cos position embedding of a grid of any rank, in raster order.

    On two axes it is the reference MAE's (first half of the width: the column, second half: the
    row; He et al. 2022, appendix A): each axis has `width / (2 n)` frequencies
    10000^(-i / (width / 2n)), sines first, then cosines. Generally the last axis comes first. What
    of the width the axes do not divide evenly stays zero. Computed in float64, returned in float32.

    Args:
        grid: Patches along each of n axes.
        width: Width of the embedding, at least 2 n.

    Returns:
        One row a position.

    Raises:
        ValueError: If the width is smaller than 2 n.

    >>> sincos_positions((14, 14), 768)[1, [0, 384]].tolist()
    [0.8414709568023682, 0.0]
    """
    num_frequencies = width // (2 * len(grid))
    if num_frequencies < 1:
        raise ValueError(
            f"width {width} is too small for a sin-cos embedding of {len(grid)} axes: "
            f"use at least {2 * len(grid)}"
        )
    omega = 10000.0 ** (-np.arange(num_frequencies, dtype=np.float64) / num_frequencies)
    coordinates = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in grid), indexing="ij")
    parts = []
    for coordinate in reversed(coordinates):
        angle = coordinate.reshape(-1, 1) * omega
        parts += [np.sin(angle), np.cos(angle)]
    table = np.concatenate(parts, axis=1)
    padding = width - table.shape[1]
    return np.pad(table, ((0, 0), (0, padding))).astype(np.float32)
