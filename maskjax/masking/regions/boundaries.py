"""How well two regions agree along their boundaries: Boundary IoU and the boundary F-measure.

As in `metrics`: sum the counts of `boundary_overlap` and `boundary_matches` over a data set or over
devices first, and divide then.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp

from maskjax.masking.checks import check_number
from maskjax.masking.regions.checks import as_regions, check_size
from maskjax.masking.regions.metrics import Overlap, count_pixels, overlap, ratio
from maskjax.masking.regions.morphology import border, dilate
from maskjax.typing import Array, Bool, Float, Int


def boundary_distance(size: tuple[int, int], share: float = 0.02) -> int:
    """How wide a boundary Cheng et al. 2021 compare: a share of the image's diagonal.

    Args:
        size: (height, width) of the image in pixels.
        share: theirs is 2 percent.

    Returns:
        Pixels, rounded, at least 1.

    Raises:
        ValueError: a size below 1.

    Examples:
        >>> boundary_distance((480, 640))
        16
    """
    check_size(size)
    share = check_number("share", share)
    return max(1, round(share * math.hypot(*size)))


def boundary_overlap(
    predicted: Bool[Array, "*b H W"], target: Bool[Array, "*b H W"], *, distance: int
) -> Overlap:
    """The pixels that the inner boundaries of two regions share, and all of theirs.

    Cheng et al. 2021 (Boundary IoU): of each region the pixels at most `distance` from its
    outside, rows and columns (their published code: a 3 x 3 erosion, repeated). The edge of the
    image counts as a boundary.

    Args:
        predicted: True = inside.
        target: True = inside.
        distance: static, in pixels, at least 1 (`boundary_distance`).

    Returns:
        The Overlap of each pair of boundaries.

    Raises:
        ValueError: not regions, of different shapes, or a distance below 1.

    Examples:
        >>> a = jnp.ones((5, 5), bool)
        >>> boundary_overlap(a, a, distance=1).union.item()
        16
    """
    predicted, target = as_regions(predicted=predicted, target=target)
    _check_distance(distance)
    return overlap(border(predicted, distance), border(target, distance))


def boundary_iou(
    predicted: Bool[Array, "*b H W"],
    target: Bool[Array, "*b H W"],
    *,
    distance: int,
    empty: float = 1.0,
) -> Float[Array, "*b"]:
    """Intersection over union of the inner boundaries of two regions.

    Cheng et al. 2021 (Boundary IoU); `boundary_overlap` says what the boundary is. As a score of
    segmentations they take the smaller of this and `iou`.

    Args:
        predicted: True = inside.
        target: True = inside.
        distance: static, in pixels, at least 1 (`boundary_distance`).
        empty: the value for two empty regions.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: not regions, of different shapes, or a distance below 1.

    Examples:
        >>> a, b = jnp.ones((4, 4), bool), jnp.ones((4, 4), bool).at[:, 3].set(False)
        >>> round(boundary_iou(a, b, distance=1).item(), 3)  # 8 of 14 pixels
        0.571
    """
    return boundary_overlap(predicted, target, distance=distance).iou(empty)


class BoundaryMatches(NamedTuple):
    """Counts of boundary pixels; a tree of arrays, so `psum` and `jax.tree.map` sum it.

    Attributes:
        predicted_near: pixels of the predicted boundary that are near the target's.
        predicted: pixels of the predicted boundary.
        target_near: pixels of the target's boundary that are near the predicted one.
        target: pixels of the target's boundary.
    """

    predicted_near: Int[Array, "*b"]
    predicted: Int[Array, "*b"]
    target_near: Int[Array, "*b"]
    target: Int[Array, "*b"]

    def f_score(self, empty: float = 1.0) -> Array:
        """The harmonic mean of precision and recall, float32; 0 where one region alone is empty."""
        precision = ratio(self.predicted_near, self.predicted, 0.0)
        recall = ratio(self.target_near, self.target, 0.0)
        mean = ratio(2 * precision * recall, precision + recall, 0.0)
        return jnp.where((self.predicted == 0) & (self.target == 0), empty, mean)


def boundary_matches(
    predicted: Bool[Array, "*b H W"],
    target: Bool[Array, "*b H W"],
    *,
    distance: int | float,
) -> BoundaryMatches:
    """How many boundary pixels of each region lie near the boundary of the other.

    Perazzi et al. 2016 (DAVIS, contour accuracy): matches found by dilation with a disk. The
    boundary here is the region's own pixels that touch its outside, corners included (theirs lies
    half a pixel to one side), the edge of the image counting as outside.

    Args:
        predicted: True = inside.
        target: True = inside.
        distance: static, in pixels, at least 1: pixels that far apart still match.

    Returns:
        The counts of each pair.

    Raises:
        ValueError: not regions, of different shapes, or a distance below 1.

    Examples:
        >>> a = jnp.zeros((6, 6), bool).at[1:4, 1:4].set(True)
        >>> boundary_matches(a, jnp.roll(a, 1, axis=1), distance=1).f_score().item()
        1.0
    """
    predicted, target = as_regions(predicted=predicted, target=target)
    _check_distance(distance)
    first, second = border(predicted), border(target)
    return BoundaryMatches(
        count_pixels(first & dilate(second, distance, element="disk")),
        count_pixels(first),
        count_pixels(second & dilate(first, distance, element="disk")),
        count_pixels(second),
    )


def boundary_f(
    predicted: Bool[Array, "*b H W"],
    target: Bool[Array, "*b H W"],
    *,
    distance: int | float,
    empty: float = 1.0,
) -> Float[Array, "*b"]:
    """The F-measure of boundary pixels that match within a distance.

    Perazzi et al. 2016 (DAVIS, contour accuracy); `boundary_matches` says what matches.

    Args:
        predicted: True = inside.
        target: True = inside.
        distance: static, in pixels, at least 1.
        empty: the value for two empty regions; where one alone is empty it is 0.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: not regions, of different shapes, or a distance below 1.

    Examples:
        >>> a = jnp.zeros((6, 6), bool).at[1:4, 1:4].set(True)
        >>> boundary_f(a, jnp.zeros((6, 6), bool), distance=1).item()
        0.0
    """
    return boundary_matches(predicted, target, distance=distance).f_score(empty)


def _check_distance(distance: int | float) -> None:
    distance = check_number("distance", distance)
    if distance < 1:
        raise ValueError(f"distance {distance} must be at least 1 pixel")
