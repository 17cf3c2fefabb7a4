"""Masks over the frequencies of a Fourier transform, and images with hidden frequencies."""

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.checks import as_array, as_flags, check_number, wide_dtype
from maskjax.masking.core import grid_length
from maskjax.masking.registry import register
from maskjax.typing import Array, Bool, Float, Int, Key

BANDS = ("low", "high", "low_or_high", "random")


@register("frequency_band", on=("frequency",), chooses="radius")
def frequency_band(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    band: str = "low_or_high",
    radius: int | float | None = None,
) -> Float[Array, "L"]:
    """Hides a band of frequencies: the positions are those of a transform, zero in the middle.

    Xie et al. 2023 (MFM, Masked Frequency Modeling, section 3.2). `apply_frequency` then removes
    what is hidden. The frequencies k and -k of a real image hold the same numbers: they follow
    each other in the order, so that a cut splits at most one such pair.

    Args:
        key: draws the band for "low_or_high", and the order of equal frequencies.
        grid: entries along each axis of the image, in the order of `fftshift`.
        num_masked: not used.
        band: "low" or "high" frequencies are hidden first, "low_or_high" one of the two with even
            odds (MFM's training), "random" any, whatever their height.
        radius: MFM's circle (16 at 224 x 224), in cycles over the longest side. The rule chooses
            (`draw_chosen`) what lies below it, or for "high" what does not. None = nothing.

    Returns:
        The rank in the order in which frequencies are hidden over L, plus 1 where chosen.

    Raises:
        ValueError: an unknown band, a radius below 0, or one for a random band.

    Examples:
        >>> scores = frequency_band(jax.random.key(0), (5,), 3, band="low")
        >>> (scores >= jnp.sort(scores)[2]).astype(int).tolist()  # frequencies -2 to 2
        [0, 1, 1, 1, 0]
    """
    length = grid_length(grid)
    if band not in BANDS:
        raise ValueError(f"unknown band {band!r}; choose from {BANDS}")
    if radius is not None:
        radius = check_number("radius", radius)
    if radius is not None and (radius < 0 or band == "random"):
        raise ValueError(f"radius {radius} for band {band!r}: give one of at least 0, or none")
    band_key, noise_key = jax.random.split(key)
    heights = _heights(grid)
    ring = jnp.asarray(np.unique(heights, return_inverse=True)[1].reshape(-1), jnp.int32)
    is_high = {"low": False, "high": True}.get(band, jax.random.bernoulli(band_key))
    height_order = jnp.zeros_like(ring) if band == "random" else jnp.where(is_high, ring, -ring)
    noise = jax.random.uniform(noise_key, grid)
    places = jnp.arange(length).reshape(grid)
    # One of k and -k, or a frequency that is its own mirror image.
    first = jnp.minimum(places, mirrored(places))
    noise = jnp.where(places == first, noise, mirrored(noise)).reshape(-1)
    # float32 noise has ties: the pair's number comes after it, so that pairs stay together.
    rank = jnp.argsort(jnp.lexsort((first.reshape(-1), noise, height_order)))
    scores = rank.astype(jnp.float32) / length
    if radius is None:
        return scores
    is_below = jnp.asarray((heights < radius).reshape(-1))
    return scores + jnp.where(is_high, ~is_below, is_below).astype(jnp.float32)


def apply_frequency(
    x: Float[Array, "B *grid C"], is_masked: Bool[Array, "B L"]
) -> Float[Array, "B *grid C"]:
    """Removes hidden frequencies from images, signals or volumes.

    Xie et al. 2023 (MFM, section 3.2), who then clip to the range of pixels. Hiding k hides -k: the
    output is real, and no hidden number can be read off its mirror image.

    Args:
        x: values in any units; each channel is transformed over the grid by itself.
        is_masked: True = hidden, over the L frequencies in the order of `fftshift`.

    Returns:
        x without the hidden frequencies.

    Raises:
        ValueError: values that are no floats or lack an axis, or flags that are not one per
            frequency.

    Examples:
        >>> x = jnp.array([[[1.0], [2.0], [6.0]]])
        >>> is_masked = jnp.array([[False, True, False]])  # the zero frequency is the mean
        >>> apply_frequency(x, is_masked)[0, :, 0].round().astype(int).tolist()
        [-2, -1, 3]
    """
    x, is_masked = as_array("x", x), as_flags("is_masked", is_masked)
    if not jnp.issubdtype(x.dtype, jnp.floating) or x.ndim < 3:
        raise ValueError(
            f"x of shape {x.shape} and dtype {x.dtype}: give floats, [B, *grid, C], with an axis "
            "of channels"
        )
    grid = x.shape[1:-1]
    if is_masked.shape != (x.shape[0], grid_length(grid)):
        raise ValueError(
            f"is_masked of shape {is_masked.shape} for values of shape {x.shape}: give one flag "
            f"per frequency, {(x.shape[0], grid_length(grid))}"
        )
    axes = tuple(range(1, x.ndim - 1))
    is_hidden = is_masked.reshape(x.shape[0], *grid)
    is_hidden = jnp.fft.ifftshift(is_hidden | jax.vmap(mirrored)(is_hidden), axes)
    spectrum = jnp.fft.fftn(x.astype(wide_dtype(x.dtype)), axes=axes)
    kept = jnp.where(is_hidden[..., None], 0, spectrum)
    return jnp.fft.ifftn(kept, axes=axes).real.astype(x.dtype)


def mirrored(x: Array) -> Array:
    """The value of frequency -k at each frequency k, in the order of `fftshift`.

    Examples:
        >>> mirrored(jnp.arange(4)).tolist(), mirrored(jnp.arange(5)).tolist()
        ([0, 3, 2, 1], [4, 3, 2, 1, 0])
    """
    x = as_array("x", x)
    # An even axis begins with its highest frequency, which is its own mirror image.
    shifts = tuple(1 - side % 2 for side in x.shape)
    return jnp.roll(jnp.flip(x), shifts, tuple(range(x.ndim)))


def _heights(grid: tuple[int, ...]) -> Float[np.ndarray, "*grid"]:
    """Distance of each frequency from zero, in cycles over the longest side."""
    axes = [np.arange(side) - side // 2 for side in grid]
    squares = [(axis * (max(grid) / side)) ** 2 for axis, side in zip(axes, grid)]
    # Rounded, so that equal heights of unequal sides come out equal.
    return np.sqrt(np.sum(np.meshgrid(*squares, indexing="ij"), axis=0)).round(6)
