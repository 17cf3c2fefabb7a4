"""Dilation, erosion and what follows from them, with squares, crosses and disks."""

import functools

import jax
import jax.numpy as jnp

from maskjax.masking.checks import check_number, check_whole
from maskjax.masking.regions.checks import as_regions
from maskjax.typing import Array, Bool

ELEMENTS = ("square", "cross", "disk")
SIDES = ("inner", "outer", "both")


def dilate(
    is_inside: Bool[Array, "*b H W"],
    radius: int | float = 1,
    *,
    element: str = "square",
    iterations: int = 1,
    outside: bool = False,
) -> Bool[Array, "*b H W"]:
    """Grows a region: the pixels that have one of its pixels within reach.

    Serra 1982 (Image Analysis and Mathematical Morphology). The reach of a pixel is
    "square": rows and columns up to `radius` away; "cross": its own row and column up to `radius`
    away (a plus; radius 1 iterated gives a diamond); "disk": dx^2 + dy^2 <= radius^2.

    Args:
        is_inside: True = inside.
        radius: static, in pixels, at least 0; whole numbers except for disks.
        element: "square", "cross" or "disk".
        iterations: static number of repetitions, at least 0.
        outside: what the pixels beyond the image count as, at every repetition. False: the region
            ends there. True: it comes in from the edges.

    Returns:
        True = inside, of the same size.

    Raises:
        ValueError: not a region, a radius or number of iterations that is not possible, or an
            unknown element.

    Examples:
        >>> dilate(jnp.array([[0, 0, 0], [0, 0, 0], [1, 0, 0]], bool)).astype(int).tolist()
        [[0, 0, 0], [1, 1, 0], [1, 1, 0]]
    """
    (is_inside,) = as_regions(is_inside=is_inside)
    if element not in ELEMENTS:
        raise ValueError(f"unknown element {element!r}; choose from {ELEMENTS}")
    radius = check_number("radius", radius)
    if radius < 0 or (element != "disk" and radius != int(radius)):
        raise ValueError(f"radius {radius} of a {element}: give a whole number, at least 0")
    check_whole("iterations", iterations, least=0)
    grow = functools.partial(_GROW[element], radius=radius, outside=outside)
    return jax.lax.fori_loop(0, iterations, lambda _, region: grow(region), is_inside)


def erode(
    is_inside: Bool[Array, "*b H W"],
    radius: int | float = 1,
    *,
    element: str = "square",
    iterations: int = 1,
    outside: bool = False,
) -> Bool[Array, "*b H W"]:
    """Shrinks a region: the pixels that have all pixels within reach in it.

    Serra 1982 (Image Analysis and Mathematical Morphology); `dilate` says what is within reach.

    Args:
        is_inside: True = inside.
        radius: static, in pixels, at least 0; whole numbers except for disks.
        element: "square", "cross" or "disk".
        iterations: static number of repetitions, at least 0.
        outside: what the pixels beyond the image count as, at every repetition. False: the region
            shrinks from the edges of the image too. True: the edges do not matter.

    Returns:
        True = inside, of the same size.

    Raises:
        ValueError: as `dilate`.

    Examples:
        >>> erode(jnp.array([[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]], bool)).astype(int).tolist()
        [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    """
    (is_inside,) = as_regions(is_inside=is_inside)
    return ~dilate(~is_inside, radius, element=element, iterations=iterations, outside=not outside)


def opening(
    is_inside: Bool[Array, "*b H W"], radius: int | float = 1, *, element: str = "square"
) -> Bool[Array, "*b H W"]:
    """Removes what the element does not fit into (specks, bridges): erosion, then dilation.

    Serra 1982 (Image Analysis and Mathematical Morphology). The edges of the image do not matter,
    so doing it twice changes nothing more, and nothing is added.

    Args:
        is_inside: True = inside.
        radius: static, in pixels, at least 0; whole numbers except for disks.
        element: "square", "cross" or "disk".

    Returns:
        True = inside, of the same size.

    Raises:
        ValueError: as `dilate`.

    Examples:
        >>> opening(jnp.array([[1, 1, 1, 0, 1, 0, 0]], bool)).astype(int).tolist()
        [[1, 1, 1, 0, 0, 0, 0]]
    """
    eroded = erode(is_inside, radius, element=element, outside=True)
    return dilate(eroded, radius, element=element)


def closing(
    is_inside: Bool[Array, "*b H W"], radius: int | float = 1, *, element: str = "square"
) -> Bool[Array, "*b H W"]:
    """Fills what the element does not fit into (holes, gaps): dilation, then erosion.

    Serra 1982 (Image Analysis and Mathematical Morphology). The edges of the image do not matter,
    so doing it twice changes nothing more, and nothing is removed.

    Args:
        is_inside: True = inside.
        radius: static, in pixels, at least 0; whole numbers except for disks.
        element: "square", "cross" or "disk".

    Returns:
        True = inside, of the same size.

    Raises:
        ValueError: as `dilate`.

    Examples:
        >>> closing(jnp.array([[0, 0, 0, 1, 0, 1, 0, 0, 0]], bool)).astype(int).tolist()
        [[0, 0, 0, 1, 1, 1, 0, 0, 0]]
    """
    dilated = dilate(is_inside, radius, element=element)
    return erode(dilated, radius, element=element, outside=True)


def border(
    is_inside: Bool[Array, "*b H W"],
    width: int | float = 1,
    *,
    side: str = "inner",
    element: str = "square",
    image_edges: bool = True,
) -> Bool[Array, "*b H W"]:
    """The pixels along the edge of a region.

    Args:
        is_inside: True = inside.
        width: static, in pixels, at least 0: how far from the edge, by the element's reach.
        side: "inner" (pixels of the region), "outer" (pixels around it), "both" (a band of twice
            the width).
        element: "square", "cross" or "disk", as for `dilate`.
        image_edges: whether pixels of a region along the edges of the image are on its border.

    Returns:
        True = on the border.

    Raises:
        ValueError: an unknown side, or as `dilate`.

    Examples:
        >>> is_inside = jnp.array([[0, 0, 1, 1, 1, 1]], bool)
        >>> border(is_inside, side="both", image_edges=False).astype(int).tolist()
        [[0, 1, 1, 0, 0, 0]]
    """
    if side not in SIDES:
        raise ValueError(f"unknown side {side!r}; choose from {SIDES}")
    (is_inside,) = as_regions(is_inside=is_inside)
    grown = shrunk = is_inside
    if side != "inner":
        grown = dilate(is_inside, width, element=element)
    if side != "outer":
        shrunk = erode(is_inside, width, element=element, outside=not image_edges)
    return grown & ~shrunk


def _any_near(region: Array, radius: int, axis: int, outside: bool) -> Array:
    """Whether any pixel up to `radius` away along an axis is inside, by doubling windows."""
    pad = [(0, 0)] * region.ndim
    pad[axis] = (radius, radius)
    region = jnp.pad(region, pad, constant_values=outside)
    covered = 1
    while covered < 2 * radius + 1:
        step = min(covered, 2 * radius + 1 - covered)
        length = region.shape[axis]
        region = jax.lax.slice_in_dim(region, 0, length - step, axis=axis) | (
            jax.lax.slice_in_dim(region, step, length, axis=axis)
        )
        covered += step
    return region


def _grow_square(region: Array, radius: int | float, outside: bool) -> Array:
    rows, columns = region.ndim - 2, region.ndim - 1
    return _any_near(_any_near(region, int(radius), rows, outside), int(radius), columns, outside)


def _grow_cross(region: Array, radius: int | float, outside: bool) -> Array:
    rows, columns = region.ndim - 2, region.ndim - 1
    return _any_near(region, int(radius), rows, outside) | _any_near(
        region, int(radius), columns, outside
    )


def _grow_disk(region: Array, radius: int | float, outside: bool) -> Array:
    """A disk is a stack of rows: for each distance dy the row's own reach."""
    reach, height = int(radius), region.shape[-2]
    pad = [(0, 0)] * (region.ndim - 2) + [(reach, reach), (0, 0)]
    padded = jnp.pad(region, pad, constant_values=outside)
    grown = region
    for dy in range(reach + 1):
        half = max(dx for dx in range(reach + 1) if dx * dx + dy * dy <= radius * radius)
        rows = _any_near(padded, half, region.ndim - 1, outside)
        grown = grown | rows[..., reach - dy : reach - dy + height, :]
        grown = grown | rows[..., reach + dy : reach + dy + height, :]
    return grown


_GROW = {"square": _grow_square, "cross": _grow_cross, "disk": _grow_disk}
