"""Regions as run lengths in raster order, with a static number of runs, so both ways are jittable.

`coco` has the column-major run lengths of COCO's files.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from maskjax.masking.checks import as_array, check_whole
from maskjax.masking.regions.checks import as_regions, check_size, over_leading
from maskjax.typing import Array, Bool, Int, Num


class Runs(NamedTuple):
    """A region as run lengths.

    Attributes:
        counts: lengths of runs in raster order, outside and inside in turn, outside first (0 where
            the first pixel is inside); after the last run zeros.
        num_runs: how many runs the region has.
        is_truncated: True where that is more than there is room for: the region is not all there.
    """

    counts: Int[Array, "*b runs"]
    num_runs: Int[Array, "*b"]
    is_truncated: Bool[Array, "*b"]


def to_runs(is_inside: Bool[Array, "*b H W"], max_runs: int) -> Runs:
    """The run lengths of each region.

    Args:
        is_inside: True = inside.
        max_runs: static, at least 1: room for so many runs. H * W + 1 is always enough; a region
            without holes or bays needs 2 H + 1.

    Returns:
        The Runs; where they are truncated, the first `max_runs`.

    Raises:
        ValueError: not regions, or `max_runs` below 1.

    Examples:
        >>> runs = to_runs(jnp.array([[0, 0, 1], [1, 1, 0]], bool), 5)
        >>> runs.counts.tolist(), runs.num_runs.item(), runs.is_truncated.item()
        ([2, 3, 1, 0, 0], 3, False)
    """
    (is_inside,) = as_regions(is_inside=is_inside)
    check_whole("max_runs", max_runs)

    def encode(pixels):
        before = jnp.concatenate([jnp.zeros(1, bool), pixels[:-1]])
        run = jnp.cumsum(pixels != before)  # of each pixel, ascending
        ends = jnp.searchsorted(run, jnp.arange(max_runs), side="right").astype(jnp.int32)
        num_runs = run[-1] + 1
        return Runs(jnp.diff(ends, prepend=0), num_runs, num_runs > max_runs)

    pixels = is_inside.reshape(*is_inside.shape[:-2], math.prod(is_inside.shape[-2:]))
    return over_leading(encode, (pixels, 1))


def from_runs(
    counts: Num[Array, "*b runs"], size: tuple[int, int]
) -> Bool[Array, "*b height width"]:  # fmt: skip
    """The region of each row of run lengths.

    Args:
        counts: `Runs.counts`, integers.
        size: static (height, width) of the image in pixels.

    Returns:
        True = inside; pixels after the last run are outside.

    Raises:
        ValueError: a size below 1; counts that are no integers or lack an axis; counts that are
            known (not traced) and negative or do not sum to the pixels (truncated runs do not).
            Traced ones are decoded as far as they go: negative counts are 0, what exceeds the
            image is cut.

    Examples:
        >>> from_runs(jnp.array([2, 3, 1, 0, 0]), (2, 3)).astype(int).tolist()
        [[0, 0, 1], [1, 1, 0]]
    """
    check_size(size)
    num_pixels = size[0] * size[1]
    counts = as_array("counts", counts)
    if counts.ndim < 1 or counts.shape[-1] < 1:
        raise ValueError(f"counts of shape {counts.shape}: give at least one run, [*b, runs]")
    if not jnp.issubdtype(counts.dtype, jnp.integer):
        raise ValueError(f"counts of dtype {counts.dtype}: give whole numbers")
    if not isinstance(counts, Tracer):
        _check_counts(np.asarray(counts), num_pixels)

    def decode(counts):
        ends = jnp.cumsum(jnp.maximum(counts, 0))
        changes = jnp.zeros(num_pixels, jnp.int32).at[ends].add(1, mode="drop")
        is_run = jnp.arange(num_pixels) < ends[-1]
        return ((jnp.cumsum(changes) % 2 == 1) & is_run).reshape(size)

    return over_leading(decode, (counts.astype(jnp.int32), 1))


def _check_counts(counts: np.ndarray, num_pixels: int) -> None:
    """Refuses run lengths that no image of so many pixels has."""
    if counts.min(initial=0) < 0:
        raise ValueError(f"counts hold {counts.min()}; a run has at least 0 pixels")
    wrong = (sums := counts.sum(axis=-1, dtype=np.int64).reshape(-1)) != num_pixels
    if wrong.any():
        raise ValueError(f"counts sum to {sums[wrong][0]}, but the image has {num_pixels} pixels")
