"""IoU, Dice and boundary scores against loops and sets of pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax.masking import regions

SIZE = HEIGHT, WIDTH = 6, 8
many = settings(max_examples=25, deadline=None, derandomize=True)
seeds = st.integers(0, 2**31)
_overlap = jax.jit(regions.overlap)
_pairwise = jax.jit(regions.pairwise_iou, static_argnames="empty")
_pairwise_boxes = jax.jit(regions.pairwise_box_iou, static_argnames="empty")
_boundary_overlap = jax.jit(regions.boundary_overlap, static_argnames="distance")
_boundary_matches = jax.jit(regions.boundary_matches, static_argnames="distance")


def _random_regions(seed, number):
    random = np.random.RandomState(seed)
    density = random.choice([0.0, 0.05, 0.5, 0.9, 1.0], size=(number, 1, 1))
    return random.rand(number, *SIZE) < density


def _pixels(region):
    return set(zip(*map(np.ndarray.tolist, np.nonzero(region))))


def _iou(a, b, empty=1.0):
    return len(a & b) / len(a | b) if a | b else empty


@many
@given(seed=seeds)
def test_iou_and_dice_are_those_of_sets(seed):
    first, second = _random_regions(seed, 4), _random_regions(seed + 1, 4)
    counts = _overlap(jnp.asarray(first), jnp.asarray(second))
    for n, (a, b) in enumerate(zip(map(_pixels, first), map(_pixels, second))):
        assert counts.intersection[n] == len(a & b)
        assert counts.union[n] == len(a | b)
        dice = 2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0
        np.testing.assert_allclose(counts.iou()[n], _iou(a, b), rtol=1e-6)
        np.testing.assert_allclose(counts.dice()[n], dice, rtol=1e-6)


@many
@given(seed=seeds)
def test_pairwise_iou_of_regions(seed):
    first, second = _random_regions(seed, 3), _random_regions(seed + 1, 5)
    expected = [[_iou(_pixels(a), _pixels(b)) for b in second] for a in first]
    result = _pairwise(jnp.asarray(first), jnp.asarray(second))
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@many
@given(seed=seeds)
def test_pairwise_iou_of_whole_boxes_is_that_of_their_regions(seed):
    random = np.random.RandomState(seed)
    corners = np.sort(random.randint(0, 7, (2, 3, 2, 2)), axis=2)  # [set, n, corner, xy]
    first, second = (np.pad(c.reshape(3, 4), ((0, n), (0, 0))) for n, c in enumerate(corners))
    masks = [
        np.asarray(regions.from_boxes((7, 7), jnp.asarray(boxes))) for boxes in (first, second)
    ]
    for empty in (1.0, 0.0):
        expected = [[_iou(_pixels(a), _pixels(b), empty) for b in masks[1]] for a in masks[0]]
        result = _pairwise_boxes(jnp.asarray(first), jnp.asarray(second), empty=empty)
        np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_boxes_overlap_by_area_not_by_pixels():
    # Unit squares half a pixel apart: 1/2 of 3/2. Beside each other, or apart: nothing.
    boxes = jnp.array([[0, 0, 1, 1], [0.5, 0, 1.5, 1], [1, 0, 2, 1], [4, 4, 5, 5]])
    np.testing.assert_allclose(
        regions.pairwise_box_iou(boxes[:1], boxes)[0], [1, 1 / 3, 0, 0], rtol=1e-6
    )


def test_empty_regions_agree_unless_told_otherwise():
    nothing, everything = jnp.zeros(SIZE, bool), jnp.ones(SIZE, bool)
    for score in (regions.iou, regions.dice):
        score = jax.jit(score, static_argnames="empty")
        assert score(nothing, nothing) == 1
        assert score(nothing, nothing, empty=0.0) == 0
        assert score(nothing, everything) == 0
    for score in (regions.boundary_iou, regions.boundary_f):
        score = jax.jit(score, static_argnames=("distance", "empty"))
        assert score(nothing, nothing, distance=1) == 1
        assert score(nothing, nothing, distance=1, empty=0.0) == 0
        assert score(nothing, everything, distance=1) == 0
        assert score(everything, everything, distance=1) == 1
    padded = jnp.stack([everything, nothing])
    assert regions.pairwise_iou(padded, padded, empty=0.0).tolist() == [[1, 0], [0, 0]]


def test_counts_sum_over_examples_and_devices_before_they_are_divided():
    first, second = (jnp.asarray(_random_regions(seed, 4)) for seed in (2, 3))
    a = {(n, pixel) for n in range(4) for pixel in _pixels(np.asarray(first[n]))}
    b = {(n, pixel) for n in range(4) for pixel in _pixels(np.asarray(second[n]))}
    summed = jax.vmap(
        lambda x, y: jax.lax.psum(regions.overlap(x, y), "device"), axis_name="device"
    )(first, second)
    np.testing.assert_allclose(summed.iou(), [_iou(a, b)] * 4, rtol=1e-6)
    over_batch = jax.tree.map(jnp.sum, regions.boundary_matches(first, second, distance=1))
    near = (
        over_batch.predicted_near / over_batch.predicted,
        over_batch.target_near / over_batch.target,
    )
    expected = 2 * near[0] * near[1] / (near[0] + near[1])
    np.testing.assert_allclose(over_batch.f_score(), expected, rtol=1e-6)


def _near(pixel, others, distance, norm):
    dy_dx = ((abs(pixel[0] - y), abs(pixel[1] - x)) for y, x in others)
    if norm == "rows and columns":
        return any(max(offset) <= distance for offset in dy_dx)
    return any(dy * dy + dx * dx <= distance**2 for dy, dx in dy_dx)


def _boundary(region, distance):
    """Pixels with one outside, or beyond the image, at most so many rows and columns away."""
    around = {
        (y, x)
        for y in range(-distance, HEIGHT + distance)
        for x in range(-distance, WIDTH + distance)
        if not (0 <= y < HEIGHT and 0 <= x < WIDTH and region[y, x])
    }
    return {p for p in _pixels(region) if _near(p, around, distance, "rows and columns")}


@pytest.mark.parametrize("distance", [1, 2])
@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=seeds)
def test_boundary_iou_compares_inner_boundaries(distance, seed):
    first, second = _random_regions(seed, 4), _random_regions(seed + 1, 4)
    counts = _boundary_overlap(jnp.asarray(first), jnp.asarray(second), distance=distance)
    for n in range(4):
        a, b = _boundary(first[n], distance), _boundary(second[n], distance)
        assert counts.intersection[n] == len(a & b)
        assert counts.union[n] == len(a | b)
        np.testing.assert_allclose(counts.iou()[n], _iou(a, b), rtol=1e-6)


@pytest.mark.parametrize("distance", [1, 2.5])
@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=seeds)
def test_boundary_f_matches_within_a_disk(distance, seed):
    first, second = _random_regions(seed, 4), _random_regions(seed + 1, 4)
    matches = _boundary_matches(jnp.asarray(first), jnp.asarray(second), distance=distance)
    for n in range(4):
        a, b = _boundary(first[n], 1), _boundary(second[n], 1)
        a_near = sum(_near(p, b, distance, "disk") for p in a)
        b_near = sum(_near(p, a, distance, "disk") for p in b)
        assert [int(count[n]) for count in matches] == [a_near, len(a), b_near, len(b)]
        if not a and not b:
            expected = 1.0
        elif not a_near:
            expected = 0.0
        else:
            precision, recall = a_near / len(a), b_near / len(b)
            expected = 2 * precision * recall / (precision + recall)
        np.testing.assert_allclose(matches.f_score()[n], expected, rtol=1e-6)


def test_boundary_of_squares_in_closed_form():
    # A square of side s and distance d: s^2 - (s - 2 d)^2; the same one shifted by one column.
    square = jnp.zeros((20, 20), bool).at[4:14, 4:14].set(True)
    counts = regions.boundary_overlap(square, square, distance=3)
    assert counts.union == counts.intersection == 10**2 - 4**2
    shifted = jnp.roll(square, 1, axis=1)
    frames = regions.boundary_overlap(square, shifted, distance=1)
    # Frames of one pixel meet in the upper and lower sides alone: 2 * 9 of 2 * 36.
    assert (frames.intersection, frames.union) == (18, 54)
    assert regions.boundary_f(square, shifted, distance=1) == 1


# round(0.02 * diagonal), at least 1: 800 pixels of diagonal give 16.
@pytest.mark.parametrize(
    ("size", "share", "distance"),
    [((480, 640), 0.02, 16), ((3, 4), 0.02, 1), ((300, 400), 0.005, 2), ((1024, 2048), 0.02, 46)],
)
def test_boundary_distance_is_a_share_of_the_diagonal(size, share, distance):
    assert regions.boundary_distance(size, share) == distance


def test_a_distance_below_one_is_refused():
    nothing = jnp.zeros(SIZE, bool)
    for function in (regions.boundary_overlap, regions.boundary_matches, regions.boundary_f):
        with pytest.raises(ValueError, match="distance 0 must be at least 1 pixel"):
            function(nothing, nothing, distance=0)
