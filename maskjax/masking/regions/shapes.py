"""Regions drawn from coordinates: rectangle, ellipse, polygon."""

import jax.numpy as jnp

from maskjax.masking.checks import as_integers
from maskjax.masking.regions.checks import as_coordinates, check_size, per_pixel
from maskjax.typing import Array, Bool, Float, Int, Num


def rectangle(
    size: tuple[int, int],
    center: Num[Array, "*b 2"],
    sides: Num[Array, "*b 2"],
    angle: int | float | Num[Array, "..."] = 0.0,
) -> Bool[Array, "*b height width"]:
    """The pixels of a rectangle, which may be turned (`from_boxes`: between two corners).

    Args:
        size: static (height, width) of the image in pixels.
        center: x, y of the middle.
        sides: length along x and along y before turning, in pixels; without area, it is empty.
        angle: radians from the x axis towards the y axis (clockwise as pictures are shown), one
            for all or one per rectangle.

    Returns:
        True where a pixel's centre is inside. Half-open along both sides: of the four edges, the
        two that meet in the smallest coordinates (before turning) count.

    Raises:
        ValueError: a size below 1, or not two numbers each.

    Examples:
        >>> center, sides = jnp.array([2.0, 1.0]), jnp.array([2.0, 2.0])
        >>> rectangle((3, 4), center, sides).astype(int).tolist()
        [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    sides = as_coordinates("sides", sides)
    along, across = _turned(size, center, angle)
    half = (sides / 2)[..., None, None, :]
    inside_x = (-half[..., 0] <= along) & (along < half[..., 0])
    return inside_x & (-half[..., 1] <= across) & (across < half[..., 1])


def ellipse(
    size: tuple[int, int],
    center: Num[Array, "*b 2"],
    radii: Num[Array, "*b 2"],
    angle: int | float | Num[Array, "..."] = 0.0,
) -> Bool[Array, "*b height width"]:
    """The pixels of an ellipse, which may be turned.

    Args:
        size: static (height, width) of the image in pixels.
        center: x, y of the middle.
        radii: half its length along x and along y before turning, in pixels; empty unless both
            are above 0.
        angle: radians from the x axis towards the y axis (clockwise as pictures are shown), one
            for all or one per ellipse.

    Returns:
        True where a pixel's centre is inside or on the edge.

    Raises:
        ValueError: a size below 1, or not two numbers each.

    Examples:
        >>> center, radii = jnp.array([2.5, 1.5]), jnp.array([2.0, 1.0])
        >>> ellipse((3, 5), center, radii).astype(int).tolist()
        [[0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]]
    """
    radii = as_coordinates("radii", radii)
    along, across = _turned(size, center, angle)
    radii = radii.astype(jnp.float32)[..., None, None, :]
    radius_x, radius_y = radii[..., 0], radii[..., 1]
    # Without a division, so that pixels on the edge are decided exactly where floats are exact.
    distance = (along * radius_y) ** 2 + (across * radius_x) ** 2
    return (distance <= (radius_x * radius_y) ** 2) & (radius_x > 0) & (radius_y > 0)


def polygon(
    size: tuple[int, int],
    vertices: Num[Array, "*b vertices 2"],
    num_vertices: int | Int[Array, "..."] | None = None,
) -> Bool[Array, "*b height width"]:
    """The pixels inside a closed polygon, by the even-odd rule.

    A ray from the pixel's centre crosses the edges an odd number of times (Haines 1994, Point in
    Polygon Strategies, Graphics Gems IV): where a polygon overlaps itself twice there is a hole.
    A region of several polygons is the union over their axis, `polygon(...).any(axis=-3)`. COCO's
    own rasterizer also takes pixels whose centre is just outside and so differs along the edge.

    Args:
        size: static (height, width) of the image in pixels.
        vertices: x, y of each corner in order, either way round; the last is joined to the first.
        num_vertices: how many of them are corners, the others being padding of any value: one
            count for all, or one per polygon. Traced counts below 0 act like 0, and those above
            their number like it. None: all.

    Returns:
        True where a pixel's centre is inside. A centre on an edge counts where the inside lies to
        the right of it, or below a level edge: polygons that share an edge share no pixel and
        leave none out. Exact where coordinates are multiples of a power of two such as 1/8.

    Raises:
        ValueError: a size below 1, fewer than 3 vertices, not two numbers each, or a static count
            outside 0 and their number.

    Examples:
        >>> triangle = jnp.array([[0, 0], [4, 0], [0, 4]])
        >>> polygon((4, 4), triangle).astype(int).tolist()
        [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    """
    check_size(size)
    vertices = as_coordinates("vertices", vertices)
    if vertices.ndim < 2 or vertices.shape[-2] < 3:
        raise ValueError(f"vertices of shape {vertices.shape}: give at least 3, [*b, vertices, 2]")
    *leading, length, _ = vertices.shape
    if num_vertices is None:
        num_vertices = length
    if isinstance(num_vertices, int) and not 0 <= num_vertices <= length:
        raise ValueError(f"num_vertices {num_vertices} must be from 0 to the {length} vertices")
    counts = as_integers("num_vertices", num_vertices)
    if counts.shape not in ((), tuple(leading)):
        raise ValueError(
            f"num_vertices of shape {counts.shape} for vertices of shape {vertices.shape}: give "
            "one count, or one per polygon"
        )
    counts = jnp.broadcast_to(counts, leading)[..., None]
    place = jnp.arange(length).reshape(*(1 for _ in leading), length)
    vertices = vertices.astype(jnp.float32)
    after = jnp.roll(vertices, -1, axis=-2)
    after = jnp.where((place == counts - 1)[..., None], vertices[..., :1, :], after)
    # Each edge from its upper to its lower end: two polygons that share it compute the same.
    is_downward = (vertices[..., 1] <= after[..., 1])[..., None]
    top, bottom = (
        jnp.where(is_downward, vertices, after)[..., None, :],
        jnp.where(is_downward, after, vertices)[..., None, :],
    )
    x, y = _centers(size, len(leading) + 1)
    # The crossing lies to the right of x: (x - x_top) / dx < (y - y_top) / dy, without division.
    step = bottom - top
    left_side = (x - top[..., 0]) * step[..., 1]  # [*b, vertices, width]
    right_side = (y - top[..., 1]) * step[..., 0]  # [*b, vertices, height]
    is_spanned = (top[..., 1] <= y) & (y < bottom[..., 1]) & (place < counts)[..., None]
    right_side = jnp.where(is_spanned, right_side, -jnp.inf)
    is_crossed = left_side[..., None, :] < right_side[..., :, None]
    return jnp.sum(is_crossed, axis=-3, dtype=jnp.int32) % 2 == 1


def _centers(size: tuple[int, int], rank: int) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The x of the columns' centres and the y of the rows', each after `rank` axes of one."""
    height, width = size
    x, y = jnp.arange(width, dtype=jnp.float32) + 0.5, jnp.arange(height, dtype=jnp.float32) + 0.5
    return x.reshape(*(1,) * rank, width), y.reshape(*(1,) * rank, height)


def _turned(
    size: tuple[int, int], center: Num[Array, "*b 2"], angle: int | float | Num[Array, "..."]
) -> tuple[Float[Array, "*b height width"], Float[Array, "*b height width"]]:
    """Where the pixels' centres lie along the axes of a shape at `center`, turned by `angle`."""
    check_size(size)
    center = as_coordinates("center", center)
    x, y = _centers(size, center.ndim - 1)
    x = (x - center[..., :1])[..., None, :]
    y = (y - center[..., 1:])[..., :, None]
    angle = jnp.asarray(angle, jnp.float32)
    cos, sin = per_pixel(jnp.cos(angle)), per_pixel(jnp.sin(angle))
    return x * cos + y * sin, y * cos - x * sin
