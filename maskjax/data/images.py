"""Image files: headers, decoding with a crop and a resize, and the same crop for arrays."""

import dataclasses
import io
import math
import os
import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from maskjax.typing import Num

# (top, left, height, width) in pixels of the upright image; fractions are allowed.
Box = tuple[float | int, float | int, float | int, float | int]

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_CHANNELS = {"1": 1, "L": 1, "I": 1, "F": 1, "LA": 2, "La": 2, "RGBA": 4, "RGBa": 4}
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
MAX_CHANNELS = max(_MODES)
# What PIL's decoders raise for bytes that are not the image they claim to be.
_DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error,
    Image.DecompressionBombError,
)  # fmt: skip


class UndecodableError(ValueError):
    """An image that cannot be decoded; the message names it."""


@dataclasses.dataclass(frozen=True)
class EncodedImage:
    """An image file that is not decoded yet: its name for messages, and its path or its bytes."""

    name: str
    content: str | bytes

    def open(self) -> Image.Image:
        """Read the header only."""
        content = self.content
        return Image.open(io.BytesIO(content) if isinstance(content, bytes) else content)


class Header(NamedTuple):
    """Height and width of the upright image, and its number of channels as stored."""

    height: int
    width: int
    channels: int


def num_channels(mode: str) -> int:
    """Return how many channels an image of a PIL mode has as stored; palettes count as RGB."""
    return 1 if mode.startswith("I;16") else _CHANNELS.get(mode, 3)


def _orientation(image: Image.Image) -> int:
    # PIL would decode a whole PNG to look for EXIF data behind the pixels.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # a broken EXIF block does not make the pixels undecodable
        return 1


def _is_cut_short(content: str | bytes, kind: str | None) -> bool:
    """Whether the end of a file lacks its format's end mark; such files may still decode."""
    if isinstance(content, bytes):
        head, tail, length = content[:8], content[-12:], len(content)
    else:
        with open(content, "rb") as file:
            head = file.read(8)
            length = file.seek(0, os.SEEK_END)
            file.seek(-min(12, length), os.SEEK_END)
            tail = file.read()
    if kind == "JPEG":
        return not tail.endswith(b"\xff\xd9")
    if kind == "PNG":
        return b"IEND" not in tail
    return kind == "WEBP" and length < 8 + int.from_bytes(head[4:8], "little")


def read_header(image: EncodedImage) -> Header:
    """Read an image's size and channels without decoding it.

    A file whose end is missing is decoded to see whether PIL accepts it.

    Args:
        image: the encoded image.

    Returns:
        Size after EXIF orientation, and channels as stored.

    Raises:
        UndecodableError: names the image.
    """
    try:
        with image.open() as opened:
            width, height = opened.size
            if _orientation(opened) in (5, 6, 7, 8):
                width, height = height, width
            header = Header(height, width, num_channels(opened.mode))
            if _is_cut_short(image.content, opened.format):
                opened.load()
            return header
    except _DECODE_ERRORS as error:
        raise UndecodableError(f"{image.name} cannot be decoded as an image ({error})") from error


def decode(
    image: EncodedImage,
    *,
    channels: int,
    size: tuple[int, int] | None,
    choose_box: Callable[[int, int], Box | None],
) -> Num[np.ndarray, "H W C"]:
    """Decode an image upright, crop and resize it.

    A JPEG is decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size at which the crop is not
    smaller than `size`.

    Args:
        image: the encoded image.
        channels: 1, 2, 3 or 4; 0 keeps the stored number. Grey is luma (ITU-R 601-2); alpha is
            dropped, not blended.
        size: (height, width) to resize to (bicubic, antialiased); None keeps the crop's.
        choose_box: (height, width) of the upright image -> crop, or None for all of it.

    Returns:
        [H, W, C]: uint8, or float32 in [0, 1] for images of 16 bits.

    Raises:
        UndecodableError: names the image.
    """
    try:
        with image.open() as opened:
            orientation = _orientation(opened)
            width, height = opened.size
            if orientation in (5, 6, 7, 8):
                width, height = height, width
            box = choose_box(height, width)
            channels = channels or num_channels(opened.mode)
            factor = _draft(opened, box, size, channels)
            if box is not None:
                box = (box[0] / factor, box[1] / factor, box[2] / factor, box[3] / factor)
            opened = _convert(opened, _MODES[channels])
            if orientation in _UPRIGHT:
                opened = opened.transpose(_UPRIGHT[orientation])
            return _to_array(opened, channels, size, box)
    except _DECODE_ERRORS as error:
        raise UndecodableError(f"{image.name} cannot be decoded as an image ({error})") from error


def _draft(image: Image.Image, box: Box | None, size, channels: int) -> float:
    """Ask a JPEG's decoder for a smaller image; return by how much it is smaller."""
    if size is None or image.format != "JPEG":
        return 1.0
    width, height = image.size
    # In a turned image the box's axes are swapped against the file's, and the ratio is the same.
    box_height, box_width = box[2:] if box is not None else (height, width)
    ratio = max(size[0] / box_height, size[1] / box_width)
    if ratio >= 1:
        return 1.0
    wanted = (math.ceil(width * ratio), math.ceil(height * ratio))
    drafted = image.draft(_MODES[channels], wanted)
    return 1.0 if drafted is None else width / drafted[1][2]


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """Convert to an 8-bit mode; grey images of more bits stay as they are."""
    if image.mode == mode or image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return image
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # PIL warns about the direct way to RGB
    return image.convert(mode)


def _to_array(image: Image.Image, channels: int, size, box: Box | None):
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        pixels = np.asarray(_resample(image, size, box))
        return pixels.reshape(pixels.shape[0], pixels.shape[1], -1)
    grey = np.asarray(image)
    if grey.dtype.kind != "f":
        grey = grey.astype(np.float32) / np.float32(65535)
    grey = crop_resize(grey[..., None], size=size, box=box)
    if channels in (2, 4):
        opaque = np.ones_like(grey)
        return np.concatenate([grey] * (channels - 1) + [opaque], -1)
    return np.repeat(grey, channels, -1)


def _resample(image: Image.Image, size, box: Box | None) -> Image.Image:
    """Crop to a box and resize; without a size, only crop (to whole pixels)."""
    if box is not None:
        top, left, height, width = box
        bottom, right = min(top + height, image.height), min(left + width, image.width)
        # PIL's resize(box=...) would let pixels outside the box into its edges.
        x, y = math.floor(left), math.floor(top)
        image = image.crop((x, y, math.ceil(right), math.ceil(bottom)))
        box = (left - x, top - y, right - x, bottom - y)
    if size is None:
        return image
    return image.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=box)


def crop_resize(
    pixels: Num[np.ndarray, "H W C"], *, size: tuple[int, int] | None, box: Box | None
) -> Num[np.ndarray, "h w C"]:
    """Crop and resize an image that is an array already (bicubic, antialiased).

    Args:
        pixels: uint8 of any range, or floats whose nominal range is [0, 1].
        size: (height, width) to resize to; None keeps the crop's.
        box: the crop, None for all.

    Returns:
        The resized crop in the dtype that came in (floats as float32); overshoot of the bicubic
        kernel is cut to [0, 1], or to the image's own range where that is wider.
    """
    if box is None and size in (None, pixels.shape[:2]):
        return pixels
    if pixels.dtype == np.uint8 and pixels.shape[-1] == 3:
        return np.asarray(_resample(Image.fromarray(pixels), size, box))
    kind = np.uint8 if pixels.dtype == np.uint8 else np.float32
    planes = [
        np.asarray(_resample(Image.fromarray(np.ascontiguousarray(plane, kind)), size, box))
        for plane in np.moveaxis(pixels, -1, 0)
    ]
    resized = np.stack(planes, -1)
    if kind == np.uint8:
        return resized
    return np.clip(resized, min(0, pixels.min()), max(1, pixels.max()))


def centre_box(height: int, width: int, size: tuple[int, int]) -> Box:
    """Return the largest centred crop with the aspect ratio of `size`."""
    scale = min(height / size[0], width / size[1])
    box_height, box_width = size[0] * scale, size[1] * scale
    return ((height - box_height) / 2, (width - box_width) / 2, box_height, box_width)


def random_box(
    rng: np.random.Generator, height: int, width: int, scale: tuple[float, float]
) -> Box:
    """Draw a random resized crop (Szegedy et al. 2015, section 6; aspect ratios 3/4 to 4/3).

    Args:
        rng: the generator.
        height: of the image in pixels.
        width: of the image in pixels.
        scale: (low, high) share of the image's area, uniform.

    Returns:
        A box of whole pixels inside the image: area uniform in `scale`, aspect ratio
        log-uniform. After ten draws that do not fit, the largest centred crop whose aspect ratio
        is in range.
    """
    low, high = np.log(3 / 4), np.log(4 / 3)
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        aspect = np.exp(rng.uniform(low, high))
        box_width, box_height = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(rng.integers(height - box_height + 1))
            left = int(rng.integers(width - box_width + 1))
            return (top, left, box_height, box_width)
    box_width = min(width, max(1, round(height * 4 / 3)))
    box_height = min(height, max(1, round(width * 4 / 3)))
    return ((height - box_height) // 2, (width - box_width) // 2, box_height, box_width)
