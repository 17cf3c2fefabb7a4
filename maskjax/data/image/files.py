"""Image files: headers, and decoding with a crop and a resize."""

import dataclasses
import functools
import io
import math
import os
import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from maskjax.data.image import wide
from maskjax.data.image.crops import Box, crop_resize, resample
from maskjax.data.processor import UndecodableError
from maskjax.typing import Num

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
_SIDEWAYS = tuple(_UPRIGHT[orientation] for orientation in (5, 6, 7, 8))
_CHANNELS = {"1": 1, "L": 1, "LA": 2, "La": 2, "RGBA": 4, "RGBa": 4}
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
MAX_CHANNELS = max(_MODES)
# Of a decoded picture, 2 GB in PIL; of a JPEG the fraction of its pixels that is decoded counts.
MAX_PIXELS = 2**29
_TIFF_BEGINS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_STRIPS = (
    (273, 279),
    (324, 325),
)  # TIFF's tags of where strips or tiles begin, and how long they are
# What PIL's decoders raise for bytes that are not the image they claim to be.
_DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class EncodedImage:
    """An image file that is not decoded yet: its name for messages, and its path or its bytes."""

    name: str
    content: str | bytes

    def open(self) -> Image.Image:
        """Read the header only."""
        Image.MAX_IMAGE_PIXELS = None  # there is MAX_PIXELS
        content = self.content
        try:
            return Image.open(io.BytesIO(content) if isinstance(content, bytes) else content)
        except UnidentifiedImageError:
            if self.ends()[0].startswith(_TIFF_BEGINS):
                raise ValueError(f"a TIFF of a kind that PIL cannot read; {wide.ADVICE}") from None
            raise

    def ends(self) -> tuple[bytes, bytes, int]:
        """Return the first and the last bytes, and how many there are."""
        if isinstance(self.content, bytes):
            return self.content[:8], self.content[-12:], len(self.content)
        with open(self.content, "rb") as file:
            head = file.read(8)
            length = file.seek(0, os.SEEK_END)
            file.seek(-min(12, length), os.SEEK_END)
            return head, file.read(), length


class Header(NamedTuple):
    """What a file says before it is decoded.

    Attributes:
        height: of the upright image.
        width: of the upright image.
        channels: as stored.
        has_more: whether other pages or frames follow, which are not read.
        is_wide: whether numbers have more than 8 bits.
    """

    height: int
    width: int
    channels: int
    has_more: bool = False
    is_wide: bool = False


def _num_channels(image: Image.Image) -> int:
    """Return how many channels an opened image has as stored; palettes count as RGB."""
    return wide.num_channels(image) if wide.is_wide(image) else _CHANNELS.get(image.mode, 3)


def _orientation(image: Image.Image) -> int:
    # PIL would decode a whole PNG to look for EXIF data behind the pixels, and turns TIFF itself.
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # a broken EXIF block does not make the pixels undecodable
        return 1


def _has_more(image: Image.Image) -> bool:
    # Phones write a second picture, for depth, into their JPEG files.
    try:
        return image.format not in ("JPEG", "MPO") and getattr(image, "is_animated", False)
    except Exception:  # a broken second picture does not make the first undecodable
        return True


def _is_cut_short(image: EncodedImage, opened: Image.Image) -> bool:
    """Whether the end of a file lacks its format's end mark; such files may still decode."""
    head, tail, length = image.ends()
    if opened.format == "JPEG":
        return not tail.endswith(b"\xff\xd9")
    if opened.format == "PNG":
        return b"IEND" not in tail
    if opened.format == "GIF":
        return not tail.endswith(b";")
    if opened.format == "TIFF":
        tags = opened.tag_v2  # type: ignore[attr-defined]
        strips = [
            pair for begin, size in _STRIPS for pair in zip(tags.get(begin, ()), tags.get(size, ()))
        ]
        return not strips or length < max(map(sum, strips))
    at = {"WEBP": (4, 8), "BMP": (2, 0)}.get(opened.format or "")
    return at is not None and length < at[1] + int.from_bytes(head[at[0] : at[0] + 4], "little")


def _refuse_large(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(
            f"{image.width} x {image.height} pixels are more than {MAX_PIXELS}; store it smaller"
        )


def read_header(image: EncodedImage) -> Header:
    """Read an image's size and channels without decoding it.

    A file whose end is missing is decoded to see whether PIL accepts it. One that PIL would not
    decode fully is refused (`wide.refuse`), and one of more than MAX_PIXELS unless it is a JPEG.

    Args:
        image: the encoded image.

    Returns:
        The size after EXIF orientation, and the rest.

    Raises:
        UndecodableError: names the image.
    """
    try:
        with image.open() as opened:
            wide.refuse(opened)
            if opened.format != "JPEG":
                _refuse_large(opened)
            width, height = opened.size
            if _orientation(opened) in (5, 6, 7, 8):
                width, height = height, width
            is_wide = wide.is_wide(opened)
            header = Header(height, width, _num_channels(opened), _has_more(opened), is_wide)
            if _is_cut_short(image, opened):
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
        [H, W, C]: uint8, or float32 in [0, 1] for images of 12 and 16 bits.

    Raises:
        UndecodableError: names the image.
    """
    try:
        with image.open() as opened:
            wide.refuse(opened)
            method = _UPRIGHT.get(_orientation(opened))
            width, height = opened.size
            if method in _SIDEWAYS:
                width, height = height, width
            box = choose_box(height, width)
            channels = channels or _num_channels(opened)
            factor = _draft(opened, box, size, channels)
            _refuse_large(opened)
            if box is not None:
                box = (box[0] / factor, box[1] / factor, box[2] / factor, box[3] / factor)
            turn = functools.partial(_turn, method=method)
            if wide.is_wide(opened):
                unit = crop_resize(wide.read(opened, image.open, turn), size=size, box=box)
                return wide.to_channels(unit, channels)
            pixels = np.asarray(resample(turn(_convert(opened, _MODES[channels])), size, box))
            return pixels.reshape(pixels.shape[0], pixels.shape[1], -1)
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
    """Convert to an 8-bit mode."""
    if image.mode == mode:
        return image
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # PIL warns about the direct way to RGB
    return image.convert(mode)


def _turn(image: Image.Image, method: Image.Transpose | None) -> Image.Image:
    return image if method is None else image.transpose(method)
