"""RandAugment's operations by slow NumPy truths, random erasing, examples by their own key."""

import numpy as np
import pytest

from maskjax import data
from maskjax.data.image.augment import OPERATIONS, Augment, erased, operate

RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(20, 200, (11, 9, channels)).astype(np.uint8) for channels in (1, 3)]
LUMA = np.array([299, 587, 114]) / 1000  # ITU-R 601-2


def _grey(x):
    return x if x.shape[-1] == 1 else (x @ (LUMA * 65536).astype(int) + 32768 >> 16)[..., None]


def _blend(first, second, factor):
    """Between two images and beyond, cut off: Image.blend."""
    mixed = first.astype(np.float64) + factor * (second.astype(np.float64) - first)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _auto_contrast(x):
    low, high = x.min((0, 1)).astype(float), x.max((0, 1)).astype(float)
    return np.clip((x - low) * (255 / (high - low)), 0, 255)


def _equalise(x):
    out = np.empty_like(x)
    for c in range(x.shape[-1]):
        counts = np.bincount(x[..., c].reshape(-1), minlength=256)
        step = (counts.sum() - counts[counts > 0][-1]) // 255
        if not step:
            return x
        before = np.cumsum(counts) - counts
        out[..., c] = np.minimum((before + step // 2) // step, 255)[x[..., c]]
    return out


def _smooth(x):
    """3 x 3 with 5 in the middle, over 13; the border stays."""
    out = x.astype(np.float64)
    for i in range(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            around = x[i - 1 : i + 2, j - 1 : j + 2].astype(np.float64)
            out[i, j] = (around.sum((0, 1)) + 4.0 * x[i, j]) / 13
    return np.floor(out + 0.5)


def _mean_grey(x):
    return np.full_like(x, int(_grey(x).mean() + 0.5))


# By its name: (image, strength, direction) -> image, and by how much rounding may differ.
TRUTHS = {
    "auto_contrast": (lambda x, level, sign: _auto_contrast(x), 1),
    "equalise": (lambda x, level, sign: _equalise(x), 0),
    "invert": (lambda x, level, sign: 255 - x, 0),
    "posterise": (lambda x, level, sign: x >> (4 + int(4 * level)) << (4 + int(4 * level)), 0),
    "solarise": (lambda x, level, sign: np.where(x < 256 - int(256 * level), x, 255 - x), 0),
    "solarise_add": (
        lambda x, level, sign: np.where(
            x < 128, np.minimum(x.astype(int) + int(110 * level), 255), x
        ), 0,
    ),
    "colour": (
        lambda x, level, sign: _blend(
            np.broadcast_to(_grey(x), x.shape), x, max(0.1, 1 + sign * 0.9 * level)
        ), 1,
    ),
    "contrast": (
        lambda x, level, sign: _blend(_mean_grey(x), x, max(0.1, 1 + sign * 0.9 * level)), 1,
    ),
    "brightness": (
        lambda x, level, sign: _blend(np.zeros_like(x), x, max(0.1, 1 + sign * 0.9 * level)), 1,
    ),
    "sharpness": (
        lambda x, level, sign: _blend(_smooth(x), x, max(0.1, 1 + sign * 0.9 * level)), 2,
    ),
}  # fmt: skip
WARPS = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize("image", IMAGES, ids=("grey", "colour"))
@pytest.mark.parametrize(("level", "sign"), [(0.9, 1), (0.3, -1), (1.0, -1)])
def test_an_operation_on_colours_is_what_it_says(name, image, level, sign):
    truth, rounding = TRUTHS[name]
    expected = np.asarray(truth(image, level, sign)).astype(np.int64)
    found = operate(name, image, level, sign).astype(np.int64)
    assert np.abs(found - expected).max() <= rounding


def test_every_operation_is_held_to_a_truth():
    assert set(OPERATIONS) == {*TRUTHS, *WARPS}
    assert len(OPERATIONS) == 15


@pytest.mark.parametrize("name", WARPS)
@pytest.mark.parametrize("sign", [1, -1])
def test_an_operation_on_places_takes_a_pixel_from_where_it_says(name, sign):
    """On a ramp values tell where a pixel comes from.

    Pillow's cubic, of a = -1, departs from a straight line by d (1 - d) (1 - 2 d) of a step, .097
    at most, and what it gives is cut to whole numbers.
    """
    height, width, level = 40, 30, 0.5
    y, x = np.mgrid[:height, :width]
    angle = np.deg2rad(30 * level * sign)  # counter-clockwise
    dx, dy = x - (width - 1) / 2, y - (height - 1) / 2
    sources = {
        "rotate": (
            np.cos(angle) * dx - np.sin(angle) * dy + (width - 1) / 2,
            np.sin(angle) * dx + np.cos(angle) * dy + (height - 1) / 2,
        ),
        "shear_x": (x + 0.3 * level * sign * (y + 0.5), y),
        "shear_y": (x, y + 0.3 * level * sign * (x + 0.5)),
        "translate_x": (x + 0.45 * level * sign * width, y),
        "translate_y": (x, y + 0.45 * level * sign * height),
    }
    from_x, from_y = sources[name]
    for ramp, source in ((4 * x + 60, 4 * from_x + 60), (4 * y + 60, 4 * from_y + 60)):
        found = operate(name, ramp.astype(np.uint8)[..., None], level, sign, (7, 7, 7))[..., 0]
        is_inside = (from_x > 2) & (from_x < width - 3) & (from_y > 2) & (from_y < height - 3)
        assert is_inside.mean() > 0.3
        assert np.abs(found - source)[is_inside].max() <= 1 + 4 * 0.097
        is_outside = (from_x < -1) | (from_x > width) | (from_y < -1) | (from_y > height)
        assert is_outside.any()
        assert (found[is_outside] == 7).all()


def test_erasing_puts_noise_into_one_box_of_the_published_sizes():
    image, shares = np.full((32, 24, 3), 300, np.uint16), []
    for seed in range(200):
        changed = erased(image.astype(np.float32), np.random.default_rng(seed))
        box = (changed <= 1).all(-1)
        np.testing.assert_array_equal(box, np.outer(box.any(1), box.any(0)))
        tall, wide = box.any(1).sum(), box.any(0).sum()
        shares.append(box.mean())
        assert 0.2 < tall / wide < 5  # .3 to 1 / .3 before rounding
    assert min(shares) > 0.015
    assert max(shares) < 0.36
    assert np.mean(shares) == pytest.approx((0.02 + 1 / 3) / 2, abs=0.03)
    noise = erased(np.zeros((64, 64, 1), np.uint8), np.random.default_rng(0))
    assert noise.dtype == np.uint8
    assert noise.max() > 240


def test_the_chance_and_the_number_of_operations_are_kept():
    image = IMAGES[1]
    erase = Augment(erase=0.25)
    changed = [(erase(image, np.random.default_rng(i)) != image).any() for i in range(400)]
    assert np.mean(changed) == pytest.approx(0.25, abs=0.08)
    rand = Augment(count=2, magnitude=0.0, deviation=0.0)
    # At strength 0 only auto-contrast, invert and posterise change an image of so few pixels.
    changed = [(rand(image, np.random.default_rng(i)) != image).any() for i in range(400)]
    assert np.mean(changed) == pytest.approx(1 - (1 - 0.5 * 3 / 15) ** 2, abs=0.08)


def test_floats_are_rounded_to_eight_bits_and_come_back_as_floats():
    image = IMAGES[1].astype(np.float32) / 255
    for seed in range(5):
        found = Augment(count=2)(image, np.random.default_rng(seed))
        whole = Augment(count=2)(IMAGES[1], np.random.default_rng(seed))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, whole / np.float32(255), atol=1e-6)


# To measure mean and deviation takes longer than all else.
_PHOTOS = {"source": "photos", "size": (16, 16), "mean": (0.4, 0.5, 0.3), "std": (0.25,)}


def _build(**options):
    return data.build(_PHOTOS | options, seed=0, batch_size=8)


def test_training_images_alone_change_and_by_their_own_key():
    plain, changed = _build(), _build(randaugment=2, erase=0.5)
    first, again = (next(changed.train_batches(3)) for _ in range(2))
    np.testing.assert_array_equal(first["inputs"], again["inputs"])
    np.testing.assert_array_equal(first["id"], next(plain.train_batches(3))["id"])
    is_changed = (first["inputs"] != next(plain.train_batches(3))["inputs"]).any((1, 2, 3))
    assert is_changed.sum() >= 4
    for a, b in zip(changed.eval_batches("validation", 8), plain.eval_batches("validation", 8)):
        np.testing.assert_array_equal(a["inputs"], b["inputs"])
        break
    colour = np.rint(255 * changed.processor.mean.reshape(-1))
    assert changed.processor.transform.augment.fill == tuple(colour.astype(int))


def test_eight_bits_travel_as_such():
    config = _PHOTOS | {"randaugment": 2, "erase": 1.0}
    compact = data.build(config, seed=0, batch_size=8, is_compact=True)
    assert next(compact.train_batches())["inputs"].dtype == np.uint8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "signals", "erase": 0.5}, "data.erase is for images .* set data.erase=0"),
        ({"source": "volumes", "randaugment": 1}, "set data.randaugment=0"),
        ({"missing": "nan", "randaugment": 1}, "know no missing numbers: set these to 0"),
        ({"randaugment_magnitude": 11.0}, "data.randaugment_magnitude=11.0 must be from 0 to 10"),
        ({"erase": -0.1}, "data.erase=-0.1 must be from 0 to 1"),
        ({"randaugment": -1}, "data.randaugment=-1 must be at least 0"),
    ],
)
def test_what_is_no_image_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        data.build({"source": "photos"} | options, seed=0, batch_size=8)
