"""Decoding, cropping and resizing against PIL used directly."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps, JpegImagePlugin

from maskjax.data.image import files
from maskjax.data.image.crops import centre_box, crop_resize, random_box
from maskjax.data.image.files import EncodedImage, UndecodableError, decode, read_header


def _encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return EncodedImage("test image", buffer.getvalue())


def _decode(image, channels=0, size=None, box=None):
    return decode(image, channels=channels, size=size, choose_box=lambda height, width: box)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("RGBA", 4)])
def test_lossless_files_decode_to_their_pixels(photo, kind, mode, channels):
    image = Image.fromarray(photo)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize((160, 120)))
    encoded = _encode(image, kind, lossless=True, exact=True)
    np.testing.assert_array_equal(_decode(encoded), np.asarray(image))
    assert read_header(encoded)[:3] == (120, 160, channels)
    np.testing.assert_array_equal(_decode(encoded, channels=3), photo)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("1", 1), ("P", 3)])
def test_png_modes_decode_as_stored_and_as_asked(photo, mode, channels):
    image = Image.fromarray(photo).convert("RGB" if mode == "P" else "L").convert(mode)
    encoded = _encode(image, "PNG")
    assert read_header(encoded).channels == channels
    assert _decode(encoded).shape == (120, 160, channels)
    np.testing.assert_array_equal(_decode(encoded, channels=3), np.asarray(image.convert("RGB")))
    np.testing.assert_array_equal(
        _decode(encoded, channels=1)[..., 0], np.asarray(image.convert("L"))
    )


def test_transparent_colour_does_not_change_the_pixels(photo):
    image = Image.fromarray(photo).quantize(16)
    encoded = _encode(image, "PNG", transparency=3)
    np.testing.assert_array_equal(_decode(encoded, channels=3), np.asarray(image.convert("RGB")))


def test_cmyk_jpeg_becomes_rgb(photo):
    encoded = _encode(Image.fromarray(photo).convert("CMYK"), "JPEG", quality=95)
    assert read_header(encoded).channels == 3
    assert np.abs(_decode(encoded).astype(int) - photo).mean() < 6


def test_16_bit_grey_keeps_its_precision():
    values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    encoded = _encode(Image.fromarray(values), "PNG")
    assert read_header(encoded).channels == 1
    pixels = _decode(encoded)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[..., 0], values / 65535, rtol=1e-6)
    np.testing.assert_allclose(_decode(encoded, channels=3), np.repeat(pixels, 3, -1))
    half = _decode(encoded, size=(32, 32))
    expected = Image.fromarray((values / 65535).astype(np.float32)).resize((32, 32), 3)
    np.testing.assert_allclose(half[..., 0], np.clip(np.asarray(expected), 0, 1), atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_applied(photo, orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = _encode(Image.fromarray(photo), kind, exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded.content))))
    assert read_header(encoded)[:2] == upright.shape[:2]
    np.testing.assert_array_equal(_decode(encoded), upright)
    # A box is in pixels of the upright image.
    box = (10, 20, 30, 40)
    np.testing.assert_array_equal(_decode(encoded, box=box), upright[10:40, 20:60])


def test_crop_and_resize_is_pils_crop_then_bicubic_resize(photo):
    image = Image.fromarray(photo)
    expected = np.asarray(image.crop((20, 10, 80, 100)).resize((24, 32), Image.Resampling.BICUBIC))
    encoded = _encode(image, "PNG")
    result = _decode(encoded, size=(32, 24), box=(10, 20, 90, 60))
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(crop_resize(photo, size=(32, 24), box=(10, 20, 90, 60)), expected)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_arrays_of_other_channel_counts_resize_channel_by_channel(photo, channels):
    pixels = np.stack([photo[..., c % 3] for c in range(channels)], -1)
    result = crop_resize(pixels, size=(30, 50), box=None)
    for channel in range(channels):
        expected = Image.fromarray(pixels[..., channel]).resize((50, 30), 3)
        np.testing.assert_array_equal(result[..., channel], np.asarray(expected))


def test_float_images_do_not_overshoot_their_range():
    step = np.zeros((8, 8, 1), np.float32)
    step[:, 4:] = 1
    resized = crop_resize(step, size=(32, 32), box=None)
    assert resized.dtype == np.float32
    assert resized.min() == 0
    assert resized.max() == 1


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_jpeg_is_decoded_small_and_looks_the_same(photo, orientation, monkeypatch):
    large = Image.fromarray(photo).resize((1600, 1200), 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = _encode(large, "JPEG", quality=95, exif=exif)
    sizes = []
    draft = JpegImagePlugin.JpegImageFile.draft

    def spy(self, mode, size):
        result = draft(self, mode, size)
        sizes.append(self.size)
        return result

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "draft", spy)
    box = (100, 200, 800, 640)
    result = _decode(encoded, channels=3, size=(100, 80), box=box)
    assert sizes == [(200, 150)]  # an eighth; the crop is then 100 x 80, as asked for
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded.content)))
    full = upright.crop((200, 100, 840, 900)).resize((80, 100), 3)
    assert np.abs(result.astype(int) - np.asarray(full)).mean() < 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_cut_file_is_found_from_its_header_check_and_named(photo, kind):
    encoded = _encode(Image.fromarray(photo), kind)
    cut = EncodedImage("cut.file", encoded.content[: len(encoded.content) // 2])
    with pytest.raises(UndecodableError, match=r"cut.file cannot be decoded"):
        read_header(cut)
    with pytest.raises(UndecodableError, match=r"cut.file cannot be decoded"):
        _decode(cut)


@pytest.mark.parametrize("content", [b"", b"plain text", b"\x89PNG\r\n\x1a\n" + b"x" * 40])
def test_what_is_no_image_is_named(content):
    with pytest.raises(UndecodableError, match=r"odd.png cannot be decoded"):
        read_header(EncodedImage("odd.png", content))


def test_jpeg_with_bytes_after_its_end_is_accepted(photo):
    encoded = _encode(Image.fromarray(photo), "JPEG")
    longer = EncodedImage("longer.jpg", encoded.content + b"trailer")
    assert read_header(longer)[:3] == (120, 160, 3)


def test_centre_box_is_the_largest_of_its_aspect_ratio():
    assert centre_box(100, 300, (50, 50)) == (0, 100, 100, 100)
    assert centre_box(100, 300, (10, 60)) == (25, 0, 50, 300)
    assert centre_box(28, 28, (32, 32)) == (0, 0, 28, 28)


def test_random_boxes_have_the_stated_distribution():
    rng = np.random.default_rng(0)
    boxes = np.array([random_box(rng, 1000, 1000, (0.2, 0.5)) for _ in range(4000)], float)
    top, left, height, width = boxes.T
    areas, aspects = height * width / 1e6, width / height
    assert areas.min() > 0.199
    assert areas.max() < 0.501
    # Mean and standard deviation of a uniform variable, within 4 standard errors.
    assert abs(areas.mean() - 0.35) < 4 * 0.3 / np.sqrt(12 * 4000)
    assert abs(areas.std() - 0.3 / np.sqrt(12)) < 0.003
    assert aspects.min() > 0.745
    assert aspects.max() < 1.342
    assert abs(np.log(aspects).mean()) < 4 * 0.575 / np.sqrt(12 * 4000)
    for offset, room in ((top, 1000 - height), (left, 1000 - width)):
        assert offset.min() >= 0
        assert (offset <= room).all()
        assert abs((offset / room).mean() - 0.5) < 4 / np.sqrt(12 * 4000)


def test_random_box_falls_back_to_a_centred_one_in_thin_images():
    rng = np.random.default_rng(0)
    assert random_box(rng, 10, 1000, (0.9, 1.0)) == (0, 493, 10, 13)
    assert random_box(rng, 1000, 12, (0.9, 1.0)) == (492, 0, 16, 12)


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "GIF"])
def test_tiff_bmp_and_gif_are_read_and_cut_ones_found(photo, kind):
    image = Image.fromarray(photo)
    encoded = _encode(image.quantize(64) if kind == "GIF" else image, kind)
    expected = np.asarray(image.quantize(64).convert("RGB") if kind == "GIF" else image)
    assert read_header(encoded)[:4] == (120, 160, 3, False)
    np.testing.assert_array_equal(_decode(encoded), expected)
    cut = EncodedImage("cut.file", encoded.content[: len(encoded.content) // 2])
    with pytest.raises(UndecodableError, match=r"cut.file cannot be decoded"):
        read_header(cut)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_of_several_pictures_the_first_is_read_and_the_header_tells(photo, kind):
    first, second = Image.fromarray(photo), Image.fromarray(255 - photo)
    options = {"lossless": True} if kind == "WEBP" else {}
    if kind == "GIF":
        first, second = first.quantize(64), second.quantize(64)
    encoded = _encode(first, kind, save_all=True, append_images=[second], **options)
    assert read_header(encoded)[:4] == (120, 160, 3, True)
    np.testing.assert_array_equal(_decode(encoded), np.asarray(first.convert("RGB")))


@pytest.mark.filterwarnings("error")
def test_the_limit_of_pixels_is_maskjaxs_own_and_a_jpeg_is_judged_by_what_is_decoded(
    photo, monkeypatch
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)  # PIL's own: 120 * 160 is too much
    image = Image.fromarray(photo)
    png, jpeg = _encode(image, "PNG"), _encode(image, "JPEG")
    assert _decode(png).shape == (120, 160, 3)
    monkeypatch.setattr(files, "MAX_PIXELS", 5000)
    with pytest.raises(UndecodableError, match=r"160 x 120 pixels are more than 5000; store it sm"):
        read_header(png)
    assert read_header(jpeg)[:3] == (120, 160, 3)
    assert _decode(jpeg, size=(60, 80)).shape == (60, 80, 3)  # half the size is 4800 pixels
    with pytest.raises(UndecodableError, match=r"160 x 120 pixels are more than 5000"):
        _decode(jpeg)
