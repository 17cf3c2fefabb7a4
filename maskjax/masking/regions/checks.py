"""What the functions on regions share: checks of shapes and types, and batches by vmap."""

import math
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.checks import as_array
from maskjax.typing import Array


def check_size(size: Any) -> None:
    """Refuses what is no (height, width), or one without pixels."""
    try:
        sides = [operator.index(side) for side in size]
    except TypeError:  # one number, or sides that are traced or no whole numbers
        sides = []
    if len(sides) != 2 or min(sides) < 1:
        size = tuple(size) if isinstance(size, list) else size
        raise ValueError(f"size {size}: give (height, width), each at least 1 pixel")


def as_regions(**regions: Any) -> tuple[Array, ...]:
    """Regions as arrays; refuses those that are not Bool [*b, H, W], or not all of one shape."""
    arrays = {name: as_array(name, region) for name, region in regions.items()}
    check_regions(**arrays)
    return tuple(arrays.values())


def check_regions(**regions: Array | np.ndarray) -> None:
    """Refuses regions that are not Bool [*b, H, W], or not all of one shape."""
    for name, region in regions.items():
        if region.dtype != bool or region.ndim < 2:
            raise ValueError(
                f"{name} of shape {region.shape} and dtype {region.dtype}: a region is "
                f"bool [*b, H, W]; make one with `threshold`, `from_boxes` or `polygon`"
            )
    if len({region.shape for region in regions.values()}) > 1:
        shapes = ", ".join(f"{name} {region.shape}" for name, region in regions.items())
        raise ValueError(f"regions of different shapes: {shapes}")


def as_image(image: Any, is_inside: Any) -> tuple[Array, Array]:
    """Both as arrays; refuses an image [*b, H, W, C] that is not that of its region [*b, H, W]."""
    image, (is_inside,) = as_array("image", image), as_regions(is_inside=is_inside)
    if image.shape[:-1] != is_inside.shape:
        raise ValueError(
            f"image of shape {image.shape} for a region of shape {is_inside.shape}: "
            f"the image needs these axes and one of channels after them"
        )
    return image, is_inside


def as_coordinates(name: str, numbers: Any, count: int = 2) -> Array:
    """`count` numbers along the last axis, in 32 bits at least: sums of fewer leave their range."""
    numbers = as_array(name, numbers)
    if numbers.shape == (0,):  # an empty list: no instances
        numbers = numbers.reshape(0, count)
    if numbers.ndim < 1 or numbers.shape[-1] != count:
        raise ValueError(f"{name} of shape {numbers.shape}: the last axis must hold {count}")
    if numbers.dtype.itemsize < 4:
        is_whole = jnp.issubdtype(numbers.dtype, jnp.integer)
        numbers = numbers.astype(jnp.int32 if is_whole else jnp.float32)
    return numbers


def over_leading(function: Callable, *arguments: tuple[Array, int]) -> Any:
    """Vmap over the leading axes, which all arguments share; each comes with the rank of one."""
    first, rank = arguments[0]
    leading = first.shape[: first.ndim - rank]
    flat = []
    for array, rank in arguments:
        if array.shape[: array.ndim - rank] != leading:
            shapes = [array.shape for array, _ in arguments]
            raise ValueError(f"shapes {shapes} do not have the same leading axes {leading}")
        flat.append(array.reshape(math.prod(leading), *array.shape[len(leading) :]))
    return jax.tree.map(
        lambda out: out.reshape(*leading, *out.shape[1:]), jax.vmap(function)(*flat)
    )


def per_pixel(value: int | float | Array) -> Any:
    """A number per image, or one for all of them, so that it broadcasts to pixels."""
    return jnp.asarray(value)[..., None, None] if jnp.ndim(value) else value
