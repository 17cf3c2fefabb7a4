"""How well regions and boxes agree: IoU and Dice.

`overlap` returns counts. Sum those over a data set or over devices first and
divide then: a mean of ratios weighs small regions like large ones. All ratios of two empty regions
are `empty`: 1 by default, for they agree; 0 where both are padding.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from maskjax.masking.regions.checks import as_coordinates, as_regions
from maskjax.typing import Array, Bool, Float, Int, Num


class Overlap(NamedTuple):
    """Counts of pixels; a tree of arrays, so `psum` and `jax.tree.map` sum it.

    Attributes:
        intersection: pixels in both regions, int32 (sums from 2^31 on need another type).
        union: pixels in at least one of them.
    """

    intersection: Num[Array, "*b"]
    union: Num[Array, "*b"]

    def iou(self, empty: float = 1.0) -> Array:
        """Intersection over union (Jaccard), float32."""
        return ratio(self.intersection, self.union, empty)

    def dice(self, empty: float = 1.0) -> Array:
        """Twice the intersection over the sum of both sizes (Dice, F1), float32."""
        intersection, union = _float(self.intersection), _float(self.union)
        return ratio(2 * intersection, intersection + union, empty)


def overlap(predicted: Bool[Array, "*b H W"], target: Bool[Array, "*b H W"]) -> Overlap:
    """The pixels that two regions share, and all their pixels.

    Args:
        predicted: True = inside.
        target: True = inside; the order of the two does not matter.

    Returns:
        The Overlap of each pair.

    Raises:
        ValueError: not regions, or of different shapes.

    Examples:
        >>> counts = overlap(jnp.array([[1, 1, 0]], bool), jnp.array([[0, 1, 1]], bool))
        >>> counts.intersection.item(), counts.union.item(), counts.dice().item()
        (1, 3, 0.5)
    """
    predicted, target = as_regions(predicted=predicted, target=target)
    return Overlap(count_pixels(predicted & target), count_pixels(predicted | target))


def iou(
    predicted: Bool[Array, "*b H W"], target: Bool[Array, "*b H W"], *, empty: float = 1.0
) -> Float[Array, "*b"]:
    """Intersection over union of two regions (Jaccard 1912).

    Args:
        predicted: True = inside.
        target: True = inside.
        empty: the value for two empty regions.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: not regions, or of different shapes.

    Examples:
        >>> iou(jnp.array([[1, 1, 0, 0]], bool), jnp.array([[1, 1, 1, 1]], bool)).item()
        0.5
    """
    return overlap(predicted, target).iou(empty)


def dice(
    predicted: Bool[Array, "*b H W"], target: Bool[Array, "*b H W"], *, empty: float = 1.0
) -> Float[Array, "*b"]:
    """Twice the intersection of two regions over the sum of their sizes (Dice 1945).

    Args:
        predicted: True = inside.
        target: True = inside.
        empty: the value for two empty regions.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: not regions, or of different shapes.

    Examples:
        >>> dice(jnp.array([[1, 1, 0]], bool), jnp.array([[0, 1, 1]], bool)).item()
        0.5
    """
    return overlap(predicted, target).dice(empty)


def pairwise_iou(
    predicted: Bool[Array, "*b predicted H W"],
    target: Bool[Array, "*b target H W"],
    *,
    empty: float = 1.0,
) -> Float[Array, "*b predicted target"]:
    """Intersection over union of each predicted region with each target.

    Args:
        predicted: regions.
        target: regions of the same size; counts are exact below 2^24 pixels.
        empty: the value for two empty regions; 0 where both may be padding.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: not regions, or of sizes that do not match.

    Examples:
        >>> regions = jnp.array([[[1, 1, 0, 0]], [[1, 1, 1, 1]]], bool)
        >>> pairwise_iou(regions, regions).tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    (predicted,), (target,) = as_regions(predicted=predicted), as_regions(target=target)
    shapes = [(x.shape[:-3], x.shape[-2:]) for x in (predicted, target)]
    if min(predicted.ndim, target.ndim) < 3 or shapes[0] != shapes[1]:
        raise ValueError(
            f"predicted of shape {predicted.shape} and target of shape {target.shape}: give "
            f"[*b, predicted, H, W] and [*b, target, H, W]"
        )
    num_pixels = math.prod(predicted.shape[-2:])
    flat = [x.reshape(*x.shape[:-2], num_pixels) for x in (predicted, target)]
    flat = [x.astype(jnp.float32) for x in flat]
    intersection = jnp.einsum("...nl,...ml->...nm", *flat)  # 0 and 1: exact in any precision
    sizes = flat[0].sum(axis=-1)[..., :, None] + flat[1].sum(axis=-1)[..., None, :]
    return ratio(intersection, sizes - intersection, empty)


def pairwise_box_iou(
    predicted: Num[Array, "*b predicted 4"],
    target: Num[Array, "*b target 4"],
    *,
    empty: float = 1.0,
) -> Float[Array, "*b predicted target"]:
    """Intersection over union of each predicted box with each target, by area.

    Args:
        predicted: x_min, y_min, x_max, y_max, the latter one past the last pixel (`to_boxes`).
        target: boxes of the same form.
        empty: the value for two boxes without area; 0 where both may be padding.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: not four numbers each, or shapes that do not match.

    Examples:
        >>> boxes = jnp.array([[0, 0, 2, 2], [0, 0, 2, 4], [5, 5, 6, 6]])
        >>> pairwise_box_iou(boxes[:1], boxes).tolist()
        [[1.0, 0.5, 0.0]]
    """
    predicted = as_coordinates("predicted", predicted, 4)
    target = as_coordinates("target", target, 4)
    if min(predicted.ndim, target.ndim) < 2 or predicted.shape[:-2] != target.shape[:-2]:
        raise ValueError(
            f"predicted of shape {predicted.shape} and target of shape {target.shape}: give "
            f"[*b, predicted, 4] and [*b, target, 4]"
        )
    first = predicted.astype(jnp.float32)[..., :, None, :]
    second = target.astype(jnp.float32)[..., None, :, :]
    intersection = _area(
        jnp.maximum(first[..., :2], second[..., :2]), jnp.minimum(first[..., 2:], second[..., 2:])
    )
    areas = _area(first[..., :2], first[..., 2:]) + _area(second[..., :2], second[..., 2:])
    return ratio(intersection, areas - intersection, empty)


def count_pixels(is_inside: Bool[Array, "*b H W"]) -> Int[Array, "*b"]:
    """The size of each region."""
    return jnp.sum(is_inside, axis=(-2, -1), dtype=jnp.int32)


def _area(corner: Float[Array, "*b 2"], opposite: Float[Array, "*b 2"]) -> Float[Array, "*b"]:
    """The area between two corners; 0 where they are the wrong way round."""
    sides = jnp.maximum(opposite - corner, 0)
    return sides[..., 0] * sides[..., 1]


def ratio(numerator: Any, denominator: Any, empty: float) -> Array:
    """The quotient in float32, `empty` where there is nothing."""
    numerator, denominator = _float(numerator), _float(denominator)
    is_empty = denominator == 0
    return jnp.where(is_empty, empty, numerator / jnp.where(is_empty, 1, denominator))


def _float(count: Any) -> Array:
    """A count in float32, before anything is added to it: int32 would overflow."""
    return count.astype(jnp.float32) if isinstance(count, Array) else jnp.asarray(np.float32(count))
