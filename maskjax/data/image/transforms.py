"""From a stored example to the array that the model sees, but for normalisation."""

import dataclasses

import numpy as np

from maskjax.data.image.augment import NOTHING, Augment
from maskjax.data.image.crops import Box, centre_box, crop_resize, random_box
from maskjax.data.image.files import EncodedImage, decode
from maskjax.data.image.ranges import Number, ValueRange, is_missing, to_unit, within_unit
from maskjax.data.image.wide import LUMA
from maskjax.typing import Float, Num

_EXACT = ("PNG", "TIFF", "BMP", "GIF")  # formats that keep numbers
_BITS, _PHOTOMETRIC, _INVERTED = 258, 262, 0  # tags of TIFF, and a value


def to_channels(x: Num[np.ndarray, "*spatial C"], channels: int) -> Num[np.ndarray, "*spatial D"]:
    """Convert to 1 (grey) or 3 (RGB) channels; alpha (a second or fourth channel) is dropped.

    Args:
        x: grey, grey and alpha, RGB, or RGBA in the last axis.
        channels: 1 or 3.

    Returns:
        The same dtype; grey from RGB is luma (ITU-R 601-2), RGB from grey repeats it.
    """
    colours = x[..., : 1 if x.shape[-1] in (1, 2) else 3]
    if colours.shape[-1] == channels:
        return colours
    if channels == 3:
        return np.repeat(colours, 3, -1)
    grey = colours.astype(np.float32) @ LUMA
    if x.dtype.kind != "f":
        grey = np.rint(grey)
    return grey[..., None].astype(x.dtype)


def resize_linear(
    x: Float[np.ndarray, "*spatial C"], size: tuple[int, ...]
) -> Float[np.ndarray, "*new C"]:
    """Resize signals, volumes or video: linear along each axis, antialiased when shrinking.

    Entries are cells of equal width, so the first and last centre lie half a cell inside; the
    triangle kernel is stretched by the shrinking factor (PIL's BILINEAR in any number of axes).
    An entry that a NaN enters is NaN.

    Args:
        x: [*spatial, C].
        size: new length of each spatial axis.

    Returns:
        [*size, C] float32.
    """
    is_nan = np.isnan(x)
    if is_nan.any():  # a NaN times a weight of 0 would be one too
        resized = resize_linear(np.where(is_nan, 0, x), size)
        resized[resize_linear(is_nan.astype(np.float32), size) > 0] = np.nan
        return resized
    for axis, length in enumerate(size):
        old = x.shape[axis]
        if length == old:
            continue
        stretch = max(old / length, 1.0)
        centres = (np.arange(length) + 0.5) * old / length - 0.5
        distance = np.abs(np.arange(old)[None] - centres[:, None]) / stretch
        weights = np.maximum(1 - distance, 0)
        weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)  # [length, old]
        x = np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis)
    return x.astype(np.float32)


def stored_numbers(image: EncodedImage) -> Num[np.ndarray, "H W C"]:
    """Decode all of an image file to the numbers that it stores: uint8, or uint16.

    Raises:
        UndecodableError: for an image file that cannot be decoded.
        ValueError: for a format that does not keep numbers, or that scales them.
    """
    x = decode(image, channels=0, size=None, choose_box=lambda height, width: None)
    with image.open() as opened:
        tags, packed = getattr(opened, "tag_v2", {}), str(opened.info.get("compression"))
        is_plain = tags.get(_BITS, (8,))[0] in (8, 16) and tags.get(_PHOTOMETRIC) != _INVERTED
        is_exact = opened.format in _EXACT and "jpeg" not in packed and "webp" not in packed
    if not (is_exact and is_plain):
        raise ValueError(
            f"{image.name}: a file of this kind does not give back the numbers that were stored, so"
            f" none can stand for no data; store {', '.join(_EXACT)} of 8 or 16 bits, or train"
            " with data.missing=''"
        )
    return x if x.dtype == np.uint8 else np.rint(x * 65535).astype(np.uint16)


@dataclasses.dataclass(frozen=True)
class Transform:
    """Resize, crop, flip, augment and convert one example; at random only when given a generator.

    Where a number stands for no data, NaN takes its place before anything else is done; an entry of
    a resized example that such a number enters is NaN too.

    Attributes:
        size: entries along each spatial axis of the result; () keeps the stored ones.
        channels: 0 as stored, 1 grey, 3 RGB.
        crop_scale: share of the area of a random resized crop; (1, 1) is none.
        flip: whether to mirror images left to right with probability 1/2.
        value_range: of stored arrays, see `to_unit`.
        missing: the stored number that stands for no data; None where there is none.
        augment: what is done to an image after that.
    """

    size: tuple[int, ...] = ()
    channels: int = 0
    crop_scale: tuple[float, ...] = (1.0, 1.0)
    flip: bool = False
    value_range: ValueRange | None = None
    missing: Number | None = None
    augment: Augment = NOTHING

    @property
    def is_random(self) -> bool:
        """Whether the result depends on the generator."""
        return self.flip or self.crop_scale != (1, 1) or self.augment.is_on

    def __call__(
        self, inputs: np.ndarray | EncodedImage, rng: np.random.Generator | None = None
    ) -> Num[np.ndarray, "*spatial C"]:
        """Transform one example.

        Args:
            inputs: as stored.
            rng: for what is random; None is the evaluation transform: for images the largest
                centred crop of the size's aspect ratio.

        Returns:
            [*spatial, C]: uint8 if stored so and nothing can be missing, otherwise float32 scaled
            to [0, 1], NaN where there is no data.

        Raises:
            UndecodableError: for an image file that cannot be decoded.
            ValueError: numbers of an image file may be missing, and its format changes numbers.
        """
        if isinstance(inputs, EncodedImage) and self.missing is not None:
            x = self._from_array(stored_numbers(inputs), None, rng)
        elif isinstance(inputs, EncodedImage):
            x = decode(
                inputs,
                channels=self.channels,
                size=self.size or None,  # type: ignore[arg-type]
                choose_box=lambda height, width: self._box(height, width, rng),
            )
        else:
            x = self._from_array(inputs, self.value_range, rng)
        if self.flip and rng is not None and rng.random() < 0.5:
            x = x[:, ::-1]
        return x if rng is None or not self.augment.is_on else self.augment(x, rng)

    def _box(self, height: int, width: int, rng: np.random.Generator | None) -> Box | None:
        if rng is not None and self.crop_scale != (1, 1):
            return random_box(rng, height, width, self.crop_scale)  # type: ignore[arg-type]
        if self.size and (height, width) != self.size:
            return centre_box(height, width, self.size)  # type: ignore[arg-type]
        return None

    def _from_array(
        self, x: np.ndarray, value_range: ValueRange | None, rng: np.random.Generator | None
    ) -> np.ndarray:
        if self.missing is not None:
            has_none = is_missing(x, self.missing)
            x = to_unit(np.where(has_none, x.dtype.type(0), x), value_range)
            x[has_none] = np.nan
        elif x.dtype != np.uint8 or not (value_range is None or within_unit(value_range)):
            x = to_unit(x, value_range)
        if self.channels and self.channels != x.shape[-1]:
            x = to_channels(x, self.channels)
        if x.ndim == 3:
            box = self._box(x.shape[0], x.shape[1], rng)
            return crop_resize(x, size=self.size or None, box=box)  # type: ignore[arg-type]
        if self.size and self.size != x.shape[:-1]:
            return resize_linear(to_unit(x) if x.dtype == np.uint8 else x, self.size)
        return x
