"""What holds for every function on regions: leading axes, jit, and clear refusals."""

import functools

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from maskjax.masking import regions

SIZE = HEIGHT, WIDTH = 4, 6
LEADING = 2, 3
_random = np.random.RandomState(0)


def _draw(*shape):
    return _random.rand(*LEADING, *shape).astype(np.float32)


REGION, TARGET, STACK = (_draw(*shape) < 0.4 for shape in (SIZE, SIZE, (2, *SIZE)))
IMAGE, GRAY, POINT = _draw(*SIZE, 2), _draw(*SIZE), _draw(2) * 4
BOX, BOXES = (np.floor(_draw(*shape) * 4 + [0, 0, 3, 1]) for shape in ((4,), (2, 4)))
COUNTS = np.stack([np.arange(6), 24 - np.arange(6)], axis=-1).reshape(*LEADING, 2)
LABELS = np.floor(GRAY * 4).astype(np.int32)

# Each with arguments whose first two axes are leading ones.
CASES = {
    "rectangle": (functools.partial(regions.rectangle, SIZE), POINT, POINT, GRAY[..., 0, 0]),
    "ellipse": (functools.partial(regions.ellipse, SIZE), POINT, POINT, GRAY[..., 0, 0]),
    "polygon": (functools.partial(regions.polygon, SIZE), _draw(5, 2) * 6, COUNTS[..., 0]),
    "threshold": (regions.threshold, GRAY, GRAY[..., 0, 0]),
    "otsu_level": (functools.partial(regions.otsu_level, num_bins=8), GRAY),
    "from_boxes": (functools.partial(regions.from_boxes, SIZE), BOX),
    "to_boxes": (regions.to_boxes, REGION),
    "to_labels": (regions.to_labels, STACK),
    "from_labels": (functools.partial(regions.from_labels, num_labels=3), LABELS),
    "to_runs": (functools.partial(regions.to_runs, max_runs=9), REGION),
    "from_runs": (functools.partial(regions.from_runs, size=SIZE), COUNTS),
    "dilate": (functools.partial(regions.dilate, radius=2, element="disk"), REGION),
    "erode": (functools.partial(regions.erode, element="cross"), REGION),
    "border": (regions.border, REGION),
    "fill": (functools.partial(regions.fill, value=jnp.ones(2)), IMAGE, REGION),
    "blend": (functools.partial(regions.blend, color=jnp.ones(2)), IMAGE, REGION),
    "weights": (lambda x, w: regions.weights(x, inside=w), REGION, GRAY[..., 0, 0]),
    "crop": (functools.partial(regions.crop, size=(2, 3)), IMAGE, BOX),
    "crop_region": (functools.partial(regions.crop_region, size=(2, 3)), REGION, BOX),
    "iou": (regions.iou, REGION, TARGET),
    "pairwise_iou": (regions.pairwise_iou, STACK, STACK[..., :1, :, :]),
    "pairwise_box_iou": (regions.pairwise_box_iou, BOXES, BOXES[..., :1, :]),
    "boundary_iou": (functools.partial(regions.boundary_iou, distance=1), REGION, TARGET),
    "boundary_f": (functools.partial(regions.boundary_f, distance=1), REGION, TARGET),
    "patch_coverage": (functools.partial(regions.patch_coverage, patch_size=2), REGION),
}


@pytest.mark.parametrize("name", CASES)
def test_leading_axes_under_jit_equal_one_example_at_a_time(name):
    function, *arguments = CASES[name]
    arguments = [jnp.asarray(argument) for argument in arguments]
    together = jax.jit(function)(*arguments)
    one = jax.jit(function)
    for index in np.ndindex(LEADING):
        alone = one(*(argument[index] for argument in arguments))
        for part, whole in zip(jax.tree.leaves(alone), jax.tree.leaves(together)):
            assert part.shape == whole.shape[len(LEADING) :]
            np.testing.assert_allclose(part, whole[index], rtol=1e-6)


# Eager calls compile each operation: a few of those that do most.
@pytest.mark.parametrize("name", ["polygon", "otsu_level", "to_runs", "crop"])
def test_jit_equals_eager(name):
    function, *arguments = CASES[name]
    arguments = [jnp.asarray(argument[0, 0]) for argument in arguments]
    pair = function(*arguments), jax.jit(function)(*arguments)
    for eager, jitted in zip(*map(jax.tree.leaves, pair)):
        np.testing.assert_allclose(eager, jitted, rtol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1)])
def test_images_of_any_size(size):
    is_inside = np.random.RandomState(1).rand(4, *size) < [[[0.5]], [[0.2]], [[0.0]], [[1.0]]]
    region = jnp.asarray(is_inside)
    num_pixels = is_inside[0].size
    elements = ("square", "cross", "disk")

    @jax.jit
    def everything(region):
        runs = regions.to_runs(region, num_pixels + 1)
        whole = jnp.tile(jnp.array([0, 0, size[1], size[0]]), (4, 1))
        # Far beyond the image: all of it, unless there is nothing.
        grown = [regions.dilate(region, 9, element=e, iterations=2) for e in elements]
        return {
            "is_truncated": runs.is_truncated,
            "same": [
                regions.from_runs(runs.counts, size),
                regions.crop_region(region, whole, size),
            ],
            "boxes": regions.from_boxes(size, regions.to_boxes(region)),
            "grown": grown,
            "shrunk": [regions.erode(region, 9, element=e) for e in elements],
            "iou": regions.boundary_iou(region, region, distance=1),
            "coverage": regions.patch_coverage(region, size)[:, 0],
        }

    found = everything(region)
    assert not found["is_truncated"].any()
    for same in found["same"]:
        np.testing.assert_array_equal(same, is_inside)
    for one in is_inside:
        np.testing.assert_array_equal(regions.from_coco(regions.to_coco(one)), one)
    assert not (is_inside & ~np.asarray(found["boxes"])).any()
    for grown, shrunk in zip(found["grown"], found["shrunk"]):
        np.testing.assert_array_equal(grown.all(axis=(1, 2)), is_inside.any(axis=(1, 2)))
        assert not shrunk.any()
    np.testing.assert_array_equal(found["iou"], np.ones(4))
    np.testing.assert_array_equal(found["coverage"], is_inside.mean(axis=(1, 2), dtype=np.float32))


def test_every_function_of_the_package_is_exported_and_explained():
    assert list(regions.__all__) == sorted(regions.__all__)
    for name in regions.__all__:
        doc = getattr(regions, name).__doc__
        assert "Examples:" in doc or "Attributes:" in doc, name


@pytest.fixture
def _unchecked():
    """As in plain runs, where nothing checks annotations and the functions refuse by themselves."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


FLOAT, VECTOR, OTHER = jnp.zeros(SIZE), jnp.zeros(4, bool), jnp.zeros((4, 5), bool)
GOOD, COLOR = jnp.zeros(SIZE, bool), jnp.zeros((*SIZE, 3))
TWO, THREE, FOUR = jnp.zeros(2), jnp.zeros(3), jnp.zeros(4)
NOT_A_REGION = "of shape {} and dtype {}: a region is bool"
NO_REGION = {
    "to_boxes": (), "to_labels": (), "to_runs": (3,), "to_coco": (), "dilate": (), "erode": (),
    "opening": (), "closing": (), "border": (), "union": (), "weights": (), "patch_coverage": (2,),
    "covered_patches": (2,),
}  # fmt: skip


@pytest.mark.usefixtures("_unchecked")
@pytest.mark.parametrize("name", NO_REGION)
def test_what_is_no_region_is_refused(name):
    for wrong in (FLOAT, VECTOR):
        with pytest.raises(ValueError) as error:
            getattr(regions, name)(wrong, *NO_REGION[name])
        assert NOT_A_REGION.format(wrong.shape, wrong.dtype) in str(error.value)


@pytest.mark.usefixtures("_unchecked")
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("iou", (GOOD, OTHER), "different shapes: predicted (4, 6), target (4, 5)"),
        ("overlap", (GOOD, FLOAT), "target of shape (4, 6) and dtype float32: a region is"),
        ("difference", (GOOD, OTHER), "region 0 (4, 6), region 1 (4, 5)"),
        ("boundary_iou", (GOOD, OTHER), "different shapes"),
        ("boundary_f", (GOOD, OTHER), "different shapes"),
        ("pairwise_iou", (GOOD, GOOD), "give [*b, predicted, H, W] and [*b, target, H, W]"),
        ("pairwise_iou", (GOOD[None], OTHER[None]), "predicted of shape (1, 4, 6) and target of"),
        ("pairwise_box_iou", (FOUR, FOUR), "give [*b, predicted, 4] and [*b, target, 4]"),
        ("pairwise_box_iou", (FOUR[None], THREE[None]), "target of shape (1, 3): the last axis"),
        ("fill", (COLOR, OTHER), "image of shape (4, 6, 3) for a region of shape (4, 5)"),
        ("keep", (FLOAT, GOOD), "image of shape (4, 6) for a region of shape (4, 6)"),
        ("blend", (COLOR, FLOAT, 0), "is_inside of shape (4, 6) and dtype float32"),
        ("crop", (COLOR, THREE, (2, 2)), "boxes of shape (3,): the last axis must hold 4"),
        ("crop", (COLOR[None], FOUR, (2, 2)), "do not have the same leading axes (1,)"),
        ("crop_region", (GOOD, FOUR[None], (2, 2)), "do not have the same leading axes ()"),
        ("from_boxes", (SIZE, THREE), "boxes of shape (3,): the last axis must hold 4"),
        ("xyxy_from_xywh", (THREE,), "boxes of shape (3,): the last axis must hold 4"),
        ("xywh_from_xyxy", (TWO,), "boxes of shape (2,): the last axis must hold 4"),
        ("rectangle", (SIZE, THREE, TWO), "center of shape (3,): the last axis must hold 2"),
        ("rectangle", (SIZE, TWO, THREE), "sides of shape (3,): the last axis must hold 2"),
        ("ellipse", (SIZE, TWO, THREE), "radii of shape (3,): the last axis must hold 2"),
        ("polygon", (SIZE, FLOAT[:, :3]), "vertices of shape (4, 3): the last axis must hold 2"),
        ("threshold", (VECTOR, 1), "image of shape (4,) and dtype bool: give numbers"),
        ("otsu_level", (GOOD,), "image of shape (4, 6) and dtype bool: give numbers"),
        ("from_labels", (FOUR, 2), "labels of shape (4,): give [*b, H, W]"),
        ("to_labels", (GOOD,), "shape (4, 6): give instances [*b, N, H, W]"),
        ("to_coco", (GOOD[None],), "shape (1, 4, 6): give one region"),
    ],
)
def test_shapes_and_types_that_do_not_match_are_refused(name, arguments, message):
    options = {"distance": 1} if name.startswith("boundary") else {}
    with pytest.raises(ValueError) as error:
        getattr(regions, name)(*arguments, **options)
    assert message in str(error.value)
