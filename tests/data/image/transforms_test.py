"""Scaling, channels, linear resizing and random flips."""

import numpy as np
import pytest
from PIL import Image

from maskjax.data.image.transforms import Transform, resize_linear, to_channels, to_unit


@pytest.mark.parametrize(
    ("x", "value_range", "expected"),
    [
        (np.array([0, 51, 255], np.uint8), None, [0, 0.2, 1]),
        (np.array([0, 13107, 65535], np.uint16), None, [0, 0.2, 1]),
        (np.array([0.25, 1.0]), None, [0.25, 1.0]),
        (np.array([-2, 0, 6], np.int16), (-2.0, 6.0), [0, 0.25, 1]),
        (np.array([0, 4, 16], np.float32), (0.0, 16.0), [0, 0.25, 1]),
    ],
)
def test_to_unit(x, value_range, expected):
    unit = to_unit(x, value_range)
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, expected, rtol=1e-6)


def test_grey_is_pils_luma_and_rgb_repeats_grey(photo):
    grey = to_channels(photo, 1)
    assert (
        np.abs(grey[..., 0].astype(int) - np.asarray(Image.fromarray(photo).convert("L"))).max()
        <= 1
    )
    np.testing.assert_array_equal(to_channels(grey, 3), np.repeat(grey, 3, -1))


def test_alpha_is_dropped(photo):
    alpha = np.full((120, 160, 1), 7, np.uint8)
    np.testing.assert_array_equal(to_channels(np.concatenate([photo, alpha], -1), 3), photo)
    grey_alpha = np.concatenate([photo[..., :1], alpha], -1)
    np.testing.assert_array_equal(to_channels(grey_alpha, 1), photo[..., :1])


@pytest.mark.parametrize("size", [(60, 40), (200, 90), (120, 250), (120, 160)])
def test_linear_resize_is_pils_bilinear_in_two_dimensions(photo, size):
    x = photo.astype(np.float32) / 255
    expected = np.stack(
        [Image.fromarray(x[..., c]).resize((size[1], size[0]), Image.Resampling.BILINEAR)
         for c in range(3)], -1
    )  # fmt: skip
    np.testing.assert_allclose(resize_linear(x, size), expected, atol=2e-6)


def test_linear_resize_keeps_a_ramp_in_one_and_three_dimensions():
    ramp = np.arange(32, dtype=np.float32)[:, None]
    # Cell k of the halved signal is centred between cells 2k and 2k + 1.
    np.testing.assert_allclose(
        resize_linear(ramp, (16,))[1:-1, 0], np.arange(16)[1:-1] * 2 + 0.5, rtol=1e-6
    )
    volume = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None, None, None], (8, 4, 6, 2))
    resized = resize_linear(volume, (16, 2, 3))
    assert resized.shape == (16, 2, 3, 2)
    np.testing.assert_allclose(resized[1:-1, 1, 1, 0], np.arange(1, 15) / 2 - 0.25, rtol=1e-5)


def test_flip_mirrors_half_of_the_images_left_to_right(photo):
    transform = Transform(flip=True)
    rng = np.random.default_rng(0)
    flipped = 0
    for _ in range(400):
        result = transform(photo, rng)
        is_flipped = not np.array_equal(result, photo)
        if is_flipped:
            np.testing.assert_array_equal(result, photo[:, ::-1])
        flipped += is_flipped
    assert 160 < flipped < 240  # 4 standard deviations


def test_without_a_generator_nothing_is_random(photo):
    transform = Transform(size=(120, 160), crop_scale=(0.1, 0.2), flip=True)
    np.testing.assert_array_equal(transform(photo), photo)


def test_evaluation_crops_centrally_to_the_aspect_ratio(photo):
    expected = Image.fromarray(photo[:, 20:140]).resize((30, 30), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(Transform(size=(30, 30))(photo), np.asarray(expected))


def test_random_crop_shows_parts_at_the_configured_size(photo):
    transform = Transform(size=(32, 32), crop_scale=(0.2, 0.4))
    rng = np.random.default_rng(0)
    first, second = transform(photo, rng), transform(photo, rng)
    assert first.shape == second.shape == (32, 32, 3)
    assert not np.array_equal(first, second)


def test_volumes_and_signals_are_resized_to_unit_range():
    volume = np.full((4, 4, 4, 1), 255, np.uint8)
    result = Transform(size=(2, 4, 8))(volume)
    assert result.shape == (2, 4, 8, 1)
    np.testing.assert_allclose(result, 1, rtol=1e-6)
