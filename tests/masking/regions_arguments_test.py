"""Regions of few examples, of many pixels, in few bits, and arguments that newcomers give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.masking import regions

NONE = jnp.zeros((0, 4, 6), bool)
TWO = jnp.zeros((2, 4, 6), bool).at[0, 1:3, 2:5].set(True).at[1, 0].set(True)


@pytest.mark.parametrize(
    ("call", "shapes"),
    [
        (lambda: regions.pairwise_iou(NONE, TWO), [(0, 2)]),
        (lambda: regions.pairwise_iou(TWO, NONE), [(2, 0)]),
        (lambda: regions.to_runs(NONE, 5), [(0, 5), (0,), (0,)]),
        (lambda: regions.patch_coverage(NONE, 2), [(0, 6)]),
        (lambda: regions.covered_patches(NONE, (4, 3)), [(0, 2)]),
        (lambda: regions.otsu_level(jnp.zeros((0, 4, 6))), [(0,)]),
        (lambda: regions.to_boxes(NONE), [(0, 4)]),
        (lambda: regions.boundary_f(NONE, NONE, distance=1), [(0,)]),
        (lambda: regions.crop(jnp.zeros((0, 4, 6, 3)), jnp.zeros((0, 4)), (2, 2)), [(0, 2, 2, 3)]),
        (lambda: regions.polygon((4, 6), jnp.zeros((0, 3, 2))), [(0, 4, 6)]),
    ],
)
def test_no_instances_give_none(call, shapes):
    assert [leaf.shape for leaf in jax.tree.leaves(call())] == shapes


@pytest.mark.parametrize("number", [jnp.int32, np.int64, int])
def test_dice_of_counts_up_to_the_largest_is_their_ratio(number):
    overlap = regions.Overlap(number(1_200_000_000), number(1_500_000_000))
    np.testing.assert_allclose(overlap.dice(), 2.4 / 2.7, rtol=1e-6)
    np.testing.assert_allclose(overlap.iou(), 1.2 / 1.5, rtol=1e-6)
    largest = regions.Overlap(number(2**31 - 1), number(2**31 - 1))
    assert largest.dice() == 1


def test_counts_beyond_32_bits_are_divided_on_the_host():
    assert regions.Overlap(np.int64(3 * 2**40), np.int64(2**42)).iou() == 0.75


def test_coordinates_of_few_bits_do_not_leave_their_range():
    boxes = jnp.array([200, 100, 100, 50], jnp.uint8)
    assert regions.xyxy_from_xywh(boxes).tolist() == [200, 100, 300, 150]
    assert regions.xywh_from_xyxy(boxes).tolist() == [200, 100, -100, -50]
    # 1 + 3 / 256 is no number of bfloat16; a third of it decides between two pixels.
    image = jnp.array([[0.30078125, 0.298828125]], jnp.bfloat16)
    assert regions.threshold(image, 0.3).tolist() == [[True, False]]
    bytes_ = jnp.array([[0, 255]], jnp.uint8)
    assert [regions.threshold(bytes_, n).tolist()[0] for n in (-1, 254.5, 300)] == [
        [True, True], [False, True], [False, False]
    ]  # fmt: skip


@pytest.mark.usefixtures("unchecked")
def test_lists_and_numpy_arrays_are_regions():
    for change in (np.ndarray.tolist, lambda x: x):
        region = change(np.asarray(TWO[0]))
        assert regions.to_boxes(region).tolist() == [2, 1, 5, 3]
        assert regions.iou(region, region) == 1
        assert regions.union(region, region).tolist() == TWO[0].tolist()
        assert regions.dilate(region, 0).tolist() == TWO[0].tolist()
        assert regions.border(region, 0).sum() == 0
        assert regions.patch_coverage(region, [4, 6]).tolist() == [0.25]
        assert regions.fill([[[3]]], [[True]], 5).tolist() == [[[5]]]
        assert regions.keep(np.array([[[3]]]), [[False]]).tolist() == [[[0]]]
    assert regions.from_boxes((1, 2), [0, 0, 1, 1]).tolist() == [[True, False]]
    assert regions.from_boxes((1, 2), []).shape == (0, 1, 2)
    assert regions.from_boxes([1, 2], [0, 0, 1, 1]).tolist() == [[True, False]]
    assert regions.polygon((1, 1), [[0, 0], [4, 0], [0, 4]], np.int64(3)).tolist() == [[True]]
    assert regions.ellipse((1, 1), [0.5, 0.5], [1, 1]).tolist() == [[True]]
    assert regions.rectangle((1, 1), [0.5, 0.5], [1, 1]).tolist() == [[True]]
    assert regions.from_labels([[1, 0]], 1).tolist() == [[[True, False]]]
    assert regions.from_runs([1, 1], (1, 2)).tolist() == [[False, True]]
    assert regions.pairwise_box_iou([[0, 0, 1, 1]], [[0, 0, 1, 1]]).tolist() == [[1]]
    assert regions.threshold([[1, 5]], 2).tolist() == [[False, True]]


POLYGONS = [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]  # the other form of COCO's "segmentation"


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: regions.to_boxes(TWO.astype(int)), "dtype int32: a region is bool"),
        (lambda: regions.keep(jnp.ones((4, 6, 1)), TWO[0].astype(int)), "dtype int32: a region is"),
        (lambda: regions.union(TWO, TWO * 1.0), "region 1 of .* dtype float32: a region is bool"),
        (lambda: regions.iou(None, TWO), "predicted is None: give an array"),
        (lambda: regions.from_boxes(16, jnp.zeros(4)), r"size 16: give \(height, width\)"),
        (lambda: regions.from_boxes((4.0, 4), jnp.zeros(4)), r"size \(4.0, 4\): give \(height,"),
        (lambda: regions.from_coco(POLYGONS), "run lengths are a list: .* for `polygon`"),
        (lambda: regions.to_runs(TWO, 2.5), r"max_runs .*2.5: give an int of at least 1"),
        (lambda: regions.patch_coverage(TWO, 2.0), "patch_size 2.0 for grid"),
        (lambda: regions.dilate(TWO, None), "radius is None: give"),
        (lambda: regions.dilate(TWO, iterations=None), r"iterations .*None: give an int"),
        (lambda: regions.polygon((2, 2), jnp.zeros((2, 3, 2)), [3, 3, 3]), "num_vertices of shape"),
        (lambda: regions.polygon((2, 2), [[1, 2], [3]]), "vertices of type list makes no array"),
        (lambda: regions.from_labels(TWO.astype(int), None), r"num_labels .*None: give an int"),
        (
            lambda: regions.otsu_level([[1.0, 2.0]], value_range=5),
            r"value_range 5: give \(low, high",
        ),
        (lambda: regions.blend([[[1]]], [[True]], 1, alpha=None), "alpha is None: give one number"),
        (lambda: regions.boundary_distance(16), r"size 16: give \(height, width\)"),
        (lambda: regions.threshold([[1, 2]], None), "level is None: give an array"),
        (lambda: jax.eval_shape(lambda r: regions.dilate(TWO, r), 1.0), "radius is traced"),
    ],
)
def test_what_is_no_region_or_number_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
