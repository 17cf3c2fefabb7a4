"""Regions by brightness: a fixed level, or Otsu's."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from maskjax.masking.checks import as_array, check_whole, is_number
from maskjax.masking.regions.checks import over_leading, per_pixel
from maskjax.typing import Array, Bool, Float, Num


def threshold(
    image: Num[Array, "*b H W"], level: int | float | Num[Array, "..."]
) -> Bool[Array, "*b H W"]:
    """The pixels brighter than a level.

    Args:
        image: one number per pixel (one channel, without its axis).
        level: in the image's units, one for all or one per image.

    Returns:
        True where the image is above the level; a pixel at the level is outside.

    Raises:
        ValueError: an image without height and width.

    Examples:
        >>> threshold(jnp.array([[1, 5], [7, 5]]), 5).astype(int).tolist()
        [[0, 0], [1, 0]]
    """
    image = _gray(image)
    # In 32 bits at least: a level of 300 is no byte, and one of .3 no bfloat16.
    image = image.astype(jnp.float32) if image.dtype.itemsize < 4 else image
    return image > per_pixel(level if is_number(level) else as_array("level", level))


def otsu_level(
    image: Num[Array, "*b H W"],
    *,
    num_bins: int = 256,
    value_range: tuple[int | float, int | float] | None = None,
) -> Float[Array, "*b"]:
    """The level that best separates the dark and the bright pixels: `threshold(image, level)`.

    Otsu 1979 (A Threshold Selection Method from Gray-Level Histograms, equation 12): of all cuts
    of the histogram the one with the largest variance between its two classes, the lowest of
    equals. Sums are exact in integers and compared in float32, which tells variances apart that
    differ by more than a millionth. Bright pixels are inside; `~threshold(...)` for dark objects.

    Args:
        image: one number per pixel (one channel, without its axis); each image has its own level.
        num_bins: bins of the histogram, at least 2.
        value_range: (low, high) that the bins divide evenly; what lies outside counts in the end
            bins. Bins of width 1 are exact for integers. None: 0 to 256 for uint8, otherwise from
            the image's smallest to its largest value.

    Returns:
        The largest value of the dark class, so that the two classes are those of the histogram
        exactly; of a constant image, its value: nothing is above it. (scikit-image returns the
        same for bytes, and for floats the middle of the bin that this value lies in.)

    Raises:
        ValueError: an image without height and width, fewer bins than 2, a range without length,
            or more pixels times bins than 2^32.

    Examples:
        >>> image = jnp.array([[10, 12, 200], [11, 210, 220]], jnp.uint8)
        >>> level = otsu_level(image)
        >>> level.item(), threshold(image, level).astype(int).tolist()
        (12.0, [[0, 0, 1], [0, 1, 1]])
    """
    image = _gray(image)
    num_pixels = image.shape[-2] * image.shape[-1]
    check_whole("num_bins", num_bins, least=2, hint="; 256 is usual")
    if num_bins * num_pixels > 2**32:
        raise ValueError(
            f"num_bins {num_bins} times {num_pixels} pixels exceeds 2^32; use at most "
            f"{2**32 // num_pixels} bins"
        )
    if value_range is None and image.dtype == jnp.uint8:
        value_range = (0, 256)
    if value_range is not None:
        if np.shape(value_range) != (2,):
            raise ValueError(f"value_range {value_range}: give (low, high)")
        if not value_range[0] < value_range[1]:
            raise ValueError(f"value_range {value_range}: the first must be below the second")

    def level(values):
        bins = _bins(values, num_bins, value_range)
        cut = _best_cut(jnp.zeros(num_bins, jnp.int32).at[bins].add(1))
        return jnp.max(jnp.where(bins <= cut, values, -jnp.inf))

    pixels = image.astype(jnp.float32).reshape(*image.shape[:-2], num_pixels)
    return over_leading(level, (pixels, 1))


def _gray(image: Any) -> Array:
    """The image as an array; refuses what is none, or a boolean one."""
    image = as_array("image", image)
    if image.ndim < 2 or image.dtype == bool:
        raise ValueError(
            f"image of shape {image.shape} and dtype {image.dtype}: give numbers [*b, H, W], "
            f"one channel without its axis"
        )
    return image


def _bins(
    values: Float[Array, "L"], num_bins: int, value_range: tuple[int | float, int | float] | None
) -> Array:
    """The bin of each value, from 0 to num_bins - 1; the last one is closed."""
    if value_range is None:
        low, high = values.min(), values.max()
        scale = jnp.where(high > low, num_bins / jnp.where(high > low, high - low, 1), 0)
    else:
        low, scale = value_range[0], num_bins / (value_range[1] - value_range[0])
    return jnp.clip(jnp.floor((values - low) * scale), 0, num_bins - 1).astype(jnp.int32)


def _best_cut(counts: Array) -> Array:
    """The first bin that ends a dark class with the largest variance between the classes."""
    num_bins, total = counts.size, counts.sum()
    place = jnp.arange(num_bins)
    # Moments about a bin near the mean: int32 holds them, and little cancels below.
    middle = jnp.round(jnp.sum(counts * (place / total))).astype(jnp.int32)
    below = jnp.cumsum(counts)
    moment = jnp.cumsum(counts * (place - middle))
    n, n_below, n_above = (x.astype(jnp.float32) for x in (total, below, total - below))
    difference = moment * n - n_below * moment[-1]
    variance = difference**2 / jnp.maximum(n_below * n_above, 1)
    return jnp.argmax(jnp.where(below > 0, variance, -1.0))
