"""Regions applied to images: keep, fill, blend, weigh, crop."""

import jax.numpy as jnp
from jax.core import Tracer

from maskjax.masking.checks import as_array, check_number, is_number, known
from maskjax.masking.regions.checks import (
    as_coordinates,
    as_image,
    as_regions,
    check_size,
    over_leading,
    per_pixel,
)
from maskjax.typing import Array, Bool, Float, Num, Shaped


def keep(
    image: Shaped[Array, "*b H W C"],
    is_inside: Bool[Array, "*b H W"],
    background: int | float | Shaped[Array, "..."] = 0,
) -> Shaped[Array, "*b H W C"]:
    """Keeps the image inside a region and replaces the rest.

    Args:
        image: any type of number.
        is_inside: True = inside.
        background: one number or one per channel, cast to the image's type.

    Returns:
        The image with the background outside.

    Raises:
        ValueError: shapes that do not match.

    Examples:
        >>> image = jnp.array([[[10], [11], [12]]])
        >>> keep(image, jnp.array([[False, True, True]])).tolist()
        [[[0], [11], [12]]]
    """
    image, is_inside = as_image(image, is_inside)
    return fill(image, ~is_inside, background)


def fill(
    image: Shaped[Array, "*b H W C"],
    is_inside: Bool[Array, "*b H W"],
    value: int | float | Shaped[Array, "..."] = 0,
) -> Shaped[Array, "*b H W C"]:
    """Replaces the image inside a region and keeps the rest.

    Args:
        image: any type of number.
        is_inside: True = inside.
        value: one number or one per channel, cast to the image's type.

    Returns:
        The image with the value inside.

    Raises:
        ValueError: shapes that do not match.

    Examples:
        >>> image = jnp.array([[[10], [11], [12]]])
        >>> fill(image, jnp.array([[False, True, True]]), 5).tolist()
        [[[10], [5], [5]]]
    """
    image, is_inside = as_image(image, is_inside)
    return jnp.where(is_inside[..., None], _per_channel(value, image).astype(image.dtype), image)


def blend(
    image: Num[Array, "*b H W C"],
    is_inside: Bool[Array, "*b H W"],
    color: int | float | Num[Array, "..."],
    *,
    alpha: int | float | Float[Array, ""] = 0.5,
) -> Num[Array, "*b H W C"]:
    """Tints the image inside a region: `(1 - alpha) * image + alpha * color`.

    Args:
        image: any type of number; integers are rounded to the nearest (halves to even).
        is_inside: True = inside.
        color: one number or one per channel, in the image's units.
        alpha: 0 leaves the image, 1 replaces it.

    Returns:
        The image with the region tinted.

    Raises:
        ValueError: shapes that do not match, or a static alpha outside 0 ... 1.

    Examples:
        >>> image = jnp.array([[[10, 20], [30, 40]]], jnp.uint8)
        >>> blend(image, jnp.array([[False, True]]), jnp.array([0, 100]), alpha=0.25).tolist()
        [[[10, 20], [22, 55]]]
    """
    image, is_inside = as_image(image, is_inside)
    if not isinstance(alpha, Tracer):
        alpha = check_number("alpha", alpha)
    if is_number(alpha) and not 0 <= known(alpha) <= 1:
        raise ValueError(f"alpha {alpha} must be from 0 to 1")
    color = _per_channel(color, image).astype(jnp.float32)
    tinted = (1 - alpha) * image.astype(jnp.float32) + alpha * color
    return jnp.where(is_inside[..., None], _like(image, tinted), image)


def weights(
    is_inside: Bool[Array, "*b H W"],
    *,
    inside: int | float | Float[Array, "..."] = 1.0,
    outside: int | float | Float[Array, "..."] = 0.0,
) -> Float[Array, "*b H W"]:
    """How much each pixel counts in a loss.

    Args:
        is_inside: True = inside.
        inside: weight of the pixels inside, one for all or one per region.
        outside: weight of the others.

    Returns:
        The loss weights, float32.

    Raises:
        ValueError: not a region.

    Examples:
        >>> weights(jnp.array([[False, True]]), inside=4.0, outside=0.5).tolist()
        [[0.5, 4.0]]
    """
    (is_inside,) = as_regions(is_inside=is_inside)
    inside, outside = (per_pixel(jnp.asarray(w, jnp.float32)) for w in (inside, outside))
    return jnp.where(is_inside, inside, outside)


def crop(
    image: Num[Array, "*b H W C"], boxes: Num[Array, "*b 4"], size: tuple[int, int]
) -> Num[Array, "*b height width C"]:
    """Cuts a box out of each image and resizes it to a static size, bilinearly.

    The centre of each pixel of the crop is looked up between the centres of the image's pixels,
    as He et al. 2017 (Mask R-CNN, section 3, RoIAlign) do with one sample: nothing is rounded to
    whole pixels, and nothing averaged, so a box much larger than `size` is undersampled. On the
    host an unresized crop is `image[y_min:y_max, x_min:x_max]`.

    Args:
        image: any type of number; integers are rounded to the nearest (halves to even).
        boxes: x_min, y_min, x_max, y_max (`to_boxes`), one per image; may be traced.
        size: static (height, width) of the crop.

    Returns:
        The crops; where a box leaves the image, its edge is repeated.

    Raises:
        ValueError: a size below 1, not four numbers each, or shapes that do not match.

    Examples:
        >>> image = jnp.arange(6.0).reshape(2, 3, 1)
        >>> crop(image, jnp.array([1, 0, 3, 2]), (2, 2))[..., 0].tolist()
        [[1.0, 2.0], [4.0, 5.0]]
    """
    check_size(size)
    image = as_array("image", image)
    boxes = as_coordinates("boxes", boxes, 4).astype(jnp.float32)

    def crop_one(pixels, box):
        for axis in (0, 1):
            place = _sample(box, axis, size[axis]) - 0.5
            place = jnp.clip(place, 0, pixels.shape[axis] - 1)
            lower = jnp.floor(place).astype(jnp.int32)
            upper = jnp.minimum(lower + 1, pixels.shape[axis] - 1)
            share = (place - lower).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
            pixels = (1 - share) * _take(pixels, lower, axis) + share * _take(pixels, upper, axis)
        return _like(image, pixels)

    return over_leading(crop_one, (image, 3), (boxes, 1))


def crop_region(
    is_inside: Bool[Array, "*b H W"], boxes: Num[Array, "*b 4"], size: tuple[int, int]
) -> Bool[Array, "*b height width"]:
    """Cuts a box out of each region and resizes it to a static size, by the nearest pixel.

    Args:
        is_inside: True = inside.
        boxes: x_min, y_min, x_max, y_max, as for `crop` of the image.
        size: static (height, width) of the crop.

    Returns:
        True where the pixel under the centre of the crop's pixel is inside; beyond the image all
        is outside.

    Raises:
        ValueError: a size below 1, not four numbers each, or shapes that do not match.

    Examples:
        >>> is_inside = jnp.array([[0, 1, 0], [0, 1, 1]], bool)
        >>> crop_region(is_inside, jnp.array([1, 0, 3, 2]), (2, 4)).astype(int).tolist()
        [[1, 1, 0, 0], [1, 1, 1, 1]]
    """
    check_size(size)
    boxes = as_coordinates("boxes", boxes, 4).astype(jnp.float32)
    (is_inside,) = as_regions(is_inside=is_inside)

    def crop_one(region, box):
        for axis in (0, 1):
            place = jnp.floor(_sample(box, axis, size[axis])).astype(jnp.int32)
            is_on = ((place >= 0) & (place < region.shape[axis])).reshape(
                (-1, 1) if axis == 0 else (1, -1)
            )
            region = _take(region, jnp.clip(place, 0, region.shape[axis] - 1), axis) & is_on
        return region

    return over_leading(crop_one, (is_inside, 2), (boxes, 1))


def _sample(box: Num[Array, "4"], axis: int, length: int) -> Float[Array, "length"]:
    """Where the centres of a crop's pixels lie in the image, along y (axis 0) or x (axis 1)."""
    start, stop = box[1 - axis], box[3 - axis]
    return start + (jnp.arange(length) + 0.5) * ((stop - start) / length)


def _take(pixels: Array, ids: Array, axis: int) -> Array:
    """Rows or columns whose numbers are known to be in range."""
    at = (ids,) if axis == 0 else (slice(None), ids)
    return pixels.at[at].get(mode="promise_in_bounds")


def _per_channel(value: int | float | Array, image: Array) -> Array:
    """One number, or one per channel, with as many axes as the image."""
    value = as_array("value", value)
    if value.shape not in ((), image.shape[-1:]):
        raise ValueError(
            f"a value of shape {value.shape} for {image.shape[-1]} channels: give one number, or "
            f"one per channel"
        )
    return value.reshape(*(1,) * (image.ndim - 1), -1)


def _like(image: Array, values: Array) -> Array:
    """The values in the image's type, rounded where that is an integer."""
    is_float = jnp.issubdtype(image.dtype, jnp.floating)
    return (values if is_float else jnp.round(values)).astype(image.dtype)
