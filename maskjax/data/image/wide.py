"""Pictures of more than 8 bits a channel: which are read, and how.

PIL keeps 16 bits of grey, but 8 of colours: its decoders take the byte of each number that the name
of the raw format tells. So a file of 16-bit colours is decoded twice, for the high bytes and for
the low ones; every filter and compression that PIL knows is read, without another package.
"""

import sys
from collections.abc import Callable

import numpy as np
from PIL import Image

from maskjax.typing import Float

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601-2, as in PIL
ADVICE = "store such pictures in one array and read it with array:"

_CHANNELS = {"LA;16": 2, "RGB;16": 3, "RGBA;16": 4}
# The order of bytes that gives the other byte of each number; N is the order of this machine.
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}

# Tags of TIFF.
_BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _SAMPLE_FORMAT = 258, 262, 277, 284, 339
_SIGNED, _FLOAT = 2, 3


def _colours(image: Image.Image) -> str:
    """Return PIL's raw format of an opened file of 16-bit colours, "" for any other."""
    if image.format not in ("PNG", "TIFF") or not getattr(image, "tile", None):
        return ""
    args = image.tile[0].args  # type: ignore[attr-defined]
    raw = args if isinstance(args, str) else args[0]
    return raw if raw[:-1] in _CHANNELS else ""


def is_wide(image: Image.Image) -> bool:
    """Whether an opened image holds numbers of more than 8 bits."""
    return image.mode == "I" or image.mode.startswith("I;16") or bool(_colours(image))


def num_channels(image: Image.Image) -> int:
    """Return the number of channels of an opened image that is wide, as stored."""
    return _CHANNELS.get(_colours(image)[:-1], 1)


def refuse(image: Image.Image) -> None:
    """Raise a ValueError where PIL opens a file but would not give the numbers that it holds."""
    if image.mode in ("F", "LAB"):
        raise ValueError(f"PIL's mode {image.mode} has no range to scale by; {ADVICE}")
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return
    bits, kind = max(tags.get(_BITS, (1,))), max(tags.get(_SAMPLE_FORMAT, (1,)))
    samples = tags.get(_SAMPLES, 1)
    if bits > 16 or kind in (_SIGNED, _FLOAT):
        name = {_SIGNED: "signed", _FLOAT: "floating-point"}.get(kind, "whole")
        raise ValueError(
            f"a TIFF of {name} numbers of {bits} bits tells no range to scale them by; {ADVICE}"
        )
    if samples > len(image.getbands()):
        raise ValueError(
            f"a TIFF of {samples} channels, of which PIL reads {len(image.getbands())}; {ADVICE}"
        )
    is_plain = _colours(image) and tags.get(_PLANAR, 1) == 1
    if bits > 8 and samples > 1 and not is_plain:
        raise ValueError(
            f"a TIFF of {bits} bits that is not RGB or RGBA, pixel by pixel; write it so, or"
            f" {ADVICE}"
        )


def read(
    image: Image.Image,
    reopen: Callable[[], Image.Image],
    turn: Callable[[Image.Image], Image.Image],
) -> Float[np.ndarray, "H W C"]:
    """Decode an image of more than 8 bits.

    Args:
        image: opened, not decoded, and wide.
        reopen: opens the same file again.
        turn: makes a decoded image upright.

    Returns:
        float32 in [0, 1], channels as stored.
    """
    raw = _colours(image)
    if not raw:
        return _read_grey(image, turn)
    if raw.startswith("LA"):  # four bytes a pixel, which is all that RGBA means to a decoder
        image.tile = [_with_raw(tile, "RGBA") for tile in image.tile]  # type: ignore[attr-defined]
        both = np.asarray(turn(image))
        high, low = both[..., 0::2], both[..., 1::2]
    else:
        with reopen() as other:
            swapped = raw[:-1] + _OTHER_ORDER[raw[-1]]
            other.tile = [_with_raw(tile, swapped) for tile in other.tile]  # type: ignore[attr-defined]
            low = np.asarray(turn(other))
        high = np.asarray(turn(image))
    return (high.astype(np.uint16) << 8 | low).astype(np.float32) / np.float32(65535)


def _with_raw(tile, raw: str):
    return tile._replace(args=raw if isinstance(tile.args, str) else (raw, *tile.args[1:]))


def _read_grey(image: Image.Image, turn: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    tags = getattr(image, "tag_v2", {})
    bits, is_inverted = tags.get(_BITS, (16,))[0], tags.get(_PHOTOMETRIC) == 0
    unit = np.asarray(turn(image)).astype(np.float32)[..., None] / np.float32(2**bits - 1)
    return 1 - unit if is_inverted else unit


def to_channels(unit: Float[np.ndarray, "H W C"], channels: int) -> Float[np.ndarray, "H W D"]:
    """Convert to 1 (grey), 2 (with alpha), 3 (RGB) or 4 channels; alpha is dropped or opaque."""
    stored = unit.shape[-1]
    colours, alpha = unit[..., : 1 if stored < 3 else 3], unit[..., -1:]
    if channels < 3 and stored > 2:
        colours = (colours @ LUMA)[..., None]
    elif channels > 2 and stored < 3:
        colours = np.repeat(colours, 3, -1)
    if channels in (1, 3):
        return colours
    return np.concatenate([colours, alpha if stored in (2, 4) else np.ones_like(alpha)], -1)
