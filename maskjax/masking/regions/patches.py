"""From regions to the patches of an image, and a masking rule that hides what a region covers."""

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.checks import check_number, per_axis
from maskjax.masking.core import grid_length
from maskjax.masking.regions.checks import as_regions
from maskjax.masking.registry import register
from maskjax.typing import Array, Bool, Float, Int, Key


def patch_coverage(
    is_inside: Bool[Array, "*b H W"], patch_size: int | tuple[int, int]
) -> Float[Array, "*b L"]:
    """The share of each patch that lies inside a region: the `coverage` of the rule `region`.

    Args:
        is_inside: True = inside.
        patch_size: side of a patch in pixels, or (height, width); divides the image.

    Returns:
        From 0 to 1 for each of the L patches in raster order: the number of pixels over that of a
        patch, correctly rounded, so that it compares exactly with a share written in Python.

    Raises:
        ValueError: not a region, or patches that do not divide the image.

    Examples:
        >>> is_inside = jnp.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
        >>> patch_coverage(is_inside, 2).tolist()
        [1.0, 0.25]
    """
    (is_inside,) = as_regions(is_inside=is_inside)
    *leading, height, width = is_inside.shape
    rows, columns = per_axis("patch_size", patch_size, (height, width))
    if height % rows or width % columns:
        raise ValueError(
            f"patches of {rows} x {columns} pixels do not divide the {height} x {width} of a "
            f"region; choose divisors, or crop first"
        )
    patches = is_inside.reshape(*leading, height // rows, rows, width // columns, columns)
    counts = jnp.sum(patches, axis=(-3, -1), dtype=jnp.int32)
    counts = counts.reshape(*leading, height // rows * (width // columns))
    # A table, for not every device divides with correct rounding.
    area = rows * columns
    return jnp.asarray(np.arange(area + 1) / area, jnp.float32)[counts]


def covered_patches(
    is_inside: Bool[Array, "*b H W"],
    patch_size: int | tuple[int, int],
    *,
    min_share: int | float = 0.5,
) -> Bool[Array, "*b L"]:
    """The patches that a region covers.

    Args:
        is_inside: True = inside.
        patch_size: side of a patch in pixels, or (height, width); divides the image.
        min_share: how much of a patch must be inside, above 0 and at most 1.

    Returns:
        True where the share is at least `min_share`, for each patch in raster order.

    Raises:
        ValueError: not a region, patches that do not divide the image, or a share out of range.

    Examples:
        >>> is_inside = jnp.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
        >>> covered_patches(is_inside, 2, min_share=0.5).astype(int).tolist()
        [1, 0]
    """
    _check_share(min_share)
    return patch_coverage(is_inside, patch_size) >= min_share


@register("region", on=("image",), chooses=True)
def region(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    coverage: Float[Array, "L"],
    min_share: int | float = 0.5,
) -> Float[Array, "L"]:
    """Hides what a region covers, an object say: the most covered patches first.

    Where the count is below the number of covered patches the least covered of them stay visible,
    where it is above it the next covered ones follow; patches covered alike are chosen at random.
    To hide all but the region pass `1 - coverage`.

    Args:
        key: drives the choice among patches covered alike.
        grid: positions along each axis.
        num_masked: not used.
        coverage: share of each patch inside the region (`patch_coverage`).
        min_share: the rule's own choice is the patches with at least this coverage, above 0 and at
            most 1.

    Returns:
        [1, 2) for patches with that coverage, [0, 1) for the others, by the rank of the coverage.

    Raises:
        ValueError: coverage of another length, or a share out of range.

    Examples:
        >>> coverage = jnp.array([0.0, 0.5, 1.0, 0.25])
        >>> region(jax.random.key(0), (2, 2), 2, coverage=coverage).tolist()
        [0.0, 1.5, 1.75, 0.25]
    """
    length = grid_length(grid)
    if coverage.shape != (length,):
        raise ValueError(
            f"coverage of shape {coverage.shape} for {length} positions of grid {grid}"
        )
    _check_share(min_share)
    noise = jax.random.uniform(key, (length,))
    rank = jnp.argsort(jnp.lexsort((noise, coverage)))
    return rank / length + (coverage >= min_share).astype(jnp.float32)


def _check_share(min_share: int | float) -> None:
    min_share = check_number("min_share", min_share)
    if not 0 < min_share <= 1:
        raise ValueError(f"min_share {min_share} must be above 0 and at most 1, for example 0.5")
