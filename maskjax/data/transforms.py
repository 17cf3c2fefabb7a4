"""From a stored example to the array that the model sees, but for normalisation."""

import dataclasses

import numpy as np

from maskjax.data.crops import Box, centre_box, crop_resize, random_box
from maskjax.data.images import EncodedImage, decode
from maskjax.data.wide import LUMA
from maskjax.typing import Float, Num, Shaped


def to_unit(
    x: Shaped[np.ndarray, "*shape"], value_range: tuple[float, float] | None = None
) -> Float[np.ndarray, "*shape"]:
    """Scale stored numbers to [0, 1].

    Args:
        x: numbers of any dtype.
        value_range: what stands for 0 and 1; None is (0, 255) for uint8, (0, 65535) for uint16
            and (0, 1) for anything else.

    Returns:
        float32.
    """
    if value_range is None:
        value_range = (0, np.iinfo(x.dtype).max) if x.dtype in (np.uint8, np.uint16) else (0, 1)
    low, high = value_range
    unit = x.astype(np.float32)
    if low:
        unit -= np.float32(low)
    if high - low != 1:
        unit /= np.float32(high - low)
    return unit


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

    Args:
        x: [*spatial, C].
        size: new length of each spatial axis.

    Returns:
        [*size, C] float32.
    """
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


@dataclasses.dataclass(frozen=True)
class Transform:
    """Resize, crop, flip and convert one example; crop and flip only when given a generator.

    Attributes:
        size: entries along each spatial axis of the result; () keeps the stored ones.
        channels: 0 as stored, 1 grey, 3 RGB.
        crop_scale: share of the area of a random resized crop; (1, 1) is none.
        flip: whether to mirror images left to right with probability 1/2.
        value_range: of stored arrays, see `to_unit`.
    """

    size: tuple[int, ...] = ()
    channels: int = 0
    crop_scale: tuple[float, ...] = (1.0, 1.0)
    flip: bool = False
    value_range: tuple[float, float] | None = None

    @property
    def is_random(self) -> bool:
        """Whether the result depends on the generator."""
        return self.flip or self.crop_scale != (1, 1)

    def __call__(
        self, inputs: np.ndarray | EncodedImage, rng: np.random.Generator | None = None
    ) -> Num[np.ndarray, "*spatial C"]:
        """Transform one example.

        Args:
            inputs: as stored.
            rng: for crop and flip; None is the evaluation transform: for images the largest
                centred crop of the size's aspect ratio.

        Returns:
            [*spatial, C]: uint8 if stored so, otherwise float32 scaled to [0, 1].

        Raises:
            UndecodableError: for an image file that cannot be decoded.
        """
        if isinstance(inputs, EncodedImage):
            x = decode(
                inputs,
                channels=self.channels,
                size=self.size or None,  # type: ignore[arg-type]
                choose_box=lambda height, width: self._box(height, width, rng),
            )
        else:
            x = self._from_array(inputs, rng)
        if self.flip and rng is not None and rng.random() < 0.5:
            x = x[:, ::-1]
        return x

    def _box(self, height: int, width: int, rng: np.random.Generator | None) -> Box | None:
        if rng is not None and self.crop_scale != (1, 1):
            return random_box(rng, height, width, self.crop_scale)  # type: ignore[arg-type]
        if self.size and (height, width) != self.size:
            return centre_box(height, width, self.size)  # type: ignore[arg-type]
        return None

    def _from_array(self, x: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        if x.dtype != np.uint8:
            x = to_unit(x, self.value_range)
        if self.channels and self.channels != x.shape[-1]:
            x = to_channels(x, self.channels)
        if x.ndim == 3:
            box = self._box(x.shape[0], x.shape[1], rng)
            return crop_resize(x, size=self.size or None, box=box)  # type: ignore[arg-type]
        if self.size and self.size != x.shape[:-1]:
            return resize_linear(to_unit(x) if x.dtype == np.uint8 else x, self.size)
        return x
