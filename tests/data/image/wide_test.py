"""Files of 16 bits, written here byte by byte: PIL, which reads them, cannot write them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from maskjax import data
from maskjax.data.image.files import EncodedImage, UndecodableError, decode, read_header

# First column and row, and distance of columns and rows, of Adam7's passes (PNG, section 8.2).
_WHOLE = [(0, 0, 1, 1)]
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2)]  # fmt: skip


def _png16(numbers, *, interlaced=False, chunks=()):
    """Write [H, W, C] uint16; rows are filtered by none, Sub and Up in turn."""
    height, width, channels = numbers.shape
    rows = b""
    for x, y, dx, dy in _ADAM7 if interlaced else _WHOLE:
        part = np.ascontiguousarray(numbers[y::dy, x::dx], ">u2")
        if not part.size:
            continue
        pixels = part.view(np.uint8).reshape(*part.shape[:2], -1)  # [h, w, bytes of a pixel]
        before = np.zeros_like(pixels[0])
        for number, row in enumerate(pixels):
            kind = number % 3
            left = np.concatenate([np.zeros_like(row[:1]), row[:-1]])
            filtered = row - (0, left, before)[kind]
            rows += bytes([kind]) + filtered.astype(np.uint8).tobytes()
            before = row
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    return _png((width, height, 16, kind, 0, 0, interlaced), rows, chunks)


def _png(header, rows, chunks=()):
    """Write width, height, bits, colour type, ... and the rows with their filters."""
    header = struct.pack(">IIBBBBB", *header)
    content = b"\x89PNG\r\n\x1a\n"
    for name, body in [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]:
        content += struct.pack(">I", len(body)) + name + body
        content += struct.pack(">I", zlib.crc32(name + body))
    return EncodedImage("test.png", content)


def _tiff(numbers, order="<", pixels=None, **tags):
    """Write [H, W, C] in one strip; `tags` are numbers of TIFF 6.0, as t258=(16,)."""
    height, width, channels = numbers.shape
    bits = numbers.dtype.itemsize * 8
    kind = {"u": 1, "i": 2, "f": 3}[numbers.dtype.kind]
    fields = {256: (width,), 257: (height,), 258: (bits,) * channels, 259: (1,),
              262: (2 if channels > 2 else 1,), 273: (8,), 277: (channels,), 278: (height,),
              284: (1,), 339: (kind,) * channels}  # fmt: skip
    fields |= {int(name[1:]): value for name, value in tags.items()}
    pixels = (
        numbers.astype(numbers.dtype.newbyteorder(order)).tobytes() if pixels is None else pixels
    )
    if fields[259] == (8,):
        pixels = zlib.compress(pixels)
    fields[279] = (len(pixels),)
    pixels += bytes(len(pixels) % 2)
    start = 8 + len(pixels)
    extra_at, extra = start + 2 + 12 * len(fields) + 4, b""
    entries = b""
    for tag, values in sorted(fields.items()):
        body = struct.pack(f"{order}{len(values)}I", *values)
        entries += struct.pack(f"{order}HHI", tag, 4, len(values))
        entries += body if len(values) == 1 else struct.pack(f"{order}I", extra_at + len(extra))
        extra += body if len(values) > 1 else b""
    content = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start) + pixels
    content += struct.pack(f"{order}H", len(fields)) + entries + bytes(4) + extra
    return EncodedImage("test.tif", content)


def _decode(image, channels=0, size=None, box=None):
    return decode(image, channels=channels, size=size, choose_box=lambda height, width: box)


def _numbers(channels, dtype=np.uint16, size=(13, 10)):
    high = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 1
    return (np.random.default_rng(channels).random((*size, channels)) * high).astype(dtype)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_colour_type_of_png_keeps_all_16_bits(channels, interlaced):
    numbers = _numbers(channels)
    image = _png16(numbers, interlaced=interlaced)
    assert read_header(image)[:3] == (13, 10, channels)
    pixels = _decode(image)
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, numbers.astype(np.float32) / np.float32(65535))


def test_a_camera_of_12_bits_keeps_its_levels_in_the_batches(tmp_path):
    numbers = np.random.default_rng(0).integers(0, 4096, (8, 32, 32, 3)).astype(np.uint16)
    for index, picture in enumerate(numbers):
        (tmp_path / f"{index}.png").write_bytes(_png16(picture).content)
    config = {
        "source": f"folder:{tmp_path}",
        "mean": (0,),
        "std": (1,),
        "validation_fraction": 0,
        "test_fraction": 0,
    }
    (batch,) = data.build(config, seed=0, batch_size=8).eval_batches("train", 8)
    np.testing.assert_allclose(batch["inputs"] * 65535, numbers, atol=0.01)


def test_a_rare_file_of_16_bits_keeps_all_from_travelling_as_8(tmp_path):
    numbers = np.random.default_rng(0).integers(0, 65536, (6, 6, 1)).astype(np.uint16)
    for index in range(60):
        Image.new("L", (6, 6), index).save(tmp_path / f"{index:02}.png")
    # Not among those of which a sample is read.
    (tmp_path / "37.png").write_bytes(_png16(numbers).content)
    config = {"source": f"folder:{tmp_path}", "mean": (0,), "std": (1,)}
    for size in ({}, {"size": (6, 6), "channels": 1}):
        built = data.build(config | size, seed=0, batch_size=4, is_compact=True)
        batches = [
            b for split in ("train", "validation", "test") for b in built.eval_batches(split, 60)
        ]
        rows = np.concatenate([batch["inputs"][batch["is_valid"]] for batch in batches])
        assert rows.dtype == np.float32
        known = {tuple(np.round(row.ravel() * 65535).astype(int)) for row in rows}
        assert tuple(numbers.ravel()) in known
        assert tuple([12 * 257] * 36) in known


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_every_smaller_depth_of_grey_and_palette_is_scaled_to_white(bits):
    numbers = np.random.default_rng(bits).integers(0, 2**bits, (5, 16)).astype(np.uint8)
    places = (numbers[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    packed = np.packbits(places.reshape(5, -1), axis=1)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    grey = _decode(_png((16, 5, bits, 0, 0, 0, 0), rows))
    np.testing.assert_array_equal(grey[..., 0], numbers * (255 // (2**bits - 1)))
    palette = np.random.default_rng(0).integers(0, 256, (2**bits, 3)).astype(np.uint8)
    coloured = _png((16, 5, bits, 3, 0, 0, 0), rows, [(b"PLTE", palette.tobytes())])
    np.testing.assert_array_equal(_decode(coloured), palette[numbers])


@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tiff_keeps_all_16_bits(channels, order, compression):
    numbers = _numbers(channels)
    image = _tiff(numbers, order, t259=(compression,), t338=(2,) * (channels == 4))
    assert read_header(image)[:3] == (13, 10, channels)
    np.testing.assert_array_equal(_decode(image), numbers.astype(np.float32) / np.float32(65535))


def test_tiff_of_12_bits_and_one_whose_zero_is_white():
    numbers = np.array([[0, 1, 2047, 4095]], np.uint16)[..., None]
    bits = "".join(f"{number:012b}" for number in numbers.ravel())
    packed = int(bits, 2).to_bytes(6, "big")
    np.testing.assert_allclose(_decode(_tiff(numbers, pixels=packed, t258=(12,))), numbers / 4095)
    numbers = _numbers(1)
    inverted = _decode(_tiff(numbers, t262=(0,)))
    np.testing.assert_allclose(inverted, 1 - numbers / 65535, atol=1e-7)


@pytest.mark.parametrize(
    ("numbers", "tags", "message"),
    [
        (_numbers(1, np.int8), {}, "signed numbers of 8 bits tells no range"),
        (_numbers(1, np.int16), {}, "signed numbers of 16 bits tells no range"),
        (_numbers(1, np.uint32), {}, "whole numbers of 32 bits tells no range"),
        (_numbers(1, np.float32), {}, "no range to scale by"),
        (_numbers(3, np.float32), {}, "of a kind that PIL cannot read"),
        (_numbers(4), {"t338": (0,)}, "4 channels, of which PIL reads 3"),
        (_numbers(5, np.uint8), {"t338": (0, 0)}, "5 channels, of which PIL reads 3"),
        (_numbers(3), {"t284": (2,)}, "16 bits that is not RGB or RGBA, pixel by pixel; write"),
        (_numbers(4), {"t262": (5,)}, "16 bits that is not RGB or RGBA"),
        (_numbers(4), {"t338": (1,)}, "16 bits that is not RGB or RGBA"),
        (_numbers(3, np.uint8), {"t262": (8,)}, "mode LAB has no range"),
    ],
)
def test_tiff_that_would_not_be_read_fully_is_refused_from_its_header(numbers, tags, message):
    image = _tiff(numbers, **tags)
    for read in (read_header, _decode):
        with pytest.raises(UndecodableError, match=f"test.tif cannot .*{message}") as caught:
            read(image)
        assert "array:" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stored", [1, 2, 3, 4])
def test_16_bits_in_as_many_channels_as_asked_for(stored):
    unit = _numbers(stored) / 65535
    colours, alpha = (unit[..., :1], unit[..., 1:]) if stored < 3 else np.split(unit, [3], -1)
    red, green, blue = np.broadcast_to(colours, (13, 10, 3)).transpose(2, 0, 1)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue)[..., None]
    alpha = alpha if stored in (2, 4) else np.ones_like(grey)
    rgb = np.stack([red, green, blue], -1)
    for channels, expected in enumerate(
        (grey, np.concatenate([grey, alpha], -1), rgb, np.concatenate([rgb, alpha], -1)), 1
    ):
        pixels = _decode(_png16(_numbers(stored)), channels=channels)
        np.testing.assert_allclose(pixels, expected, atol=1e-6)


def test_16_bit_colours_are_turned_cropped_and_resized():
    numbers = _numbers(3, size=(20, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    image = _png16(numbers, chunks=[(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))])
    upright = np.rot90(numbers, -1).astype(np.float32) / np.float32(65535)
    assert read_header(image)[:3] == (30, 20, 3)
    np.testing.assert_array_equal(_decode(image, box=(4, 2, 16, 12)), upright[4:20, 2:14])
    small = _decode(image, size=(8, 6), box=(4, 2, 16, 12))
    for channel in range(3):
        plane = Image.fromarray(np.ascontiguousarray(upright[4:20, 2:14, channel]))
        expected = np.clip(plane.resize((6, 8), Image.Resampling.BICUBIC), 0, 1)
        np.testing.assert_allclose(small[..., channel], expected, atol=1e-6)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_tiff_is_turned_once(photo, compression):
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "TIFF", tiffinfo={274: 6}, compression=compression)
    image = EncodedImage("turned.tif", buffer.getvalue())
    assert read_header(image)[:2] == (160, 120)
    np.testing.assert_array_equal(_decode(image), np.rot90(photo, -1))
