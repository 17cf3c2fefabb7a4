"""The keys of `config.data` that images have: sizes, channels, augmentation, scale."""

import contextlib
import dataclasses
import math
from typing import Any

import numpy as np

from maskjax.data.settings import Settings, default_of

MAX_POSITIONS = 2**31  # of one example; they are counted in int32


def _numbers(name: str, values: Any) -> tuple[int, ...] | tuple[float, ...]:
    """Read a setting that holds numbers, whole ones where it is the size."""
    if not isinstance(values, (tuple, list)):
        raise ValueError(f"data.{name}={values!r} must be a tuple")
    kind = "whole" if name == "size" else "finite"
    for value in values:
        is_number = isinstance(value, int | float | np.number) and math.isfinite(value)
        if not is_number or (name == "size" and value != int(value)):
            raise ValueError(f"data.{name}={tuple(values)} must hold {kind} numbers, or be ()")
    return tuple(int(value) if name == "size" else float(value) for value in values)


@dataclasses.dataclass(frozen=True)
class ImageSettings(Settings):
    """How images, and arrays of any other number of axes, are prepared.

    Attributes:
        size: entries along each spatial axis; () leaves examples as stored. Images are cropped
            centrally to the size's aspect ratio, then resized (bicubic, antialiased); other ranks
            are resized linearly.
        crop_scale: share of an image's area that a random resized crop takes, (low, high) within
            (0, 1]; (1, 1) is no random crop. Training only.
        flip: whether each training image is mirrored left to right with probability 1/2.
        randaugment: operations of RandAugment on each training image; 0 is none.
        randaugment_magnitude: mean of their strength, from 0 to 10.
        randaugment_deviation: its standard deviation.
        erase: chance that a box of a training image becomes noise.
        compact: whether images of 8 bits are normalised on the device, where a trainer offers that.
        mean: per channel, of values scaled to [0, 1]; () computes it from a fixed sample of the
            training split. One number serves all channels.
        std: like `mean`; above 0 and at most 1.
        channels: 0 as stored, 1 grey, 3 RGB.
        missing: stored number that stands for no data, such as "-9999" or "nan"; it is left out of
            ranges, statistics and the loss, and the model sees the channel's mean in its place. ""
            is none. "hide" (which means NaN) or "hide:-9999" is for a task to hide every position
            that holds such a number.
        gate: file with the m of a soft gate, one for each place of an example as the model sees
            it, from 0 (hidden) to 1 (seen): .npy, or a picture; "" is none.

    Raises:
        ValueError: where a value is outside what is stated here.
    """

    size: tuple[int, ...] = default_of("size")
    crop_scale: tuple[float, ...] = default_of("crop_scale")
    flip: bool = default_of("flip")
    randaugment: int = default_of("randaugment")
    randaugment_magnitude: float = default_of("randaugment_magnitude")
    randaugment_deviation: float = default_of("randaugment_deviation")
    erase: float = default_of("erase")
    compact: bool = default_of("compact")
    mean: tuple[float, ...] = default_of("mean")
    std: tuple[float, ...] = default_of("std")
    channels: int = default_of("channels")
    missing: str = default_of("missing")
    gate: str = default_of("gate")

    @classmethod
    def convert(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Make tuples of lists, and words of the missing number."""
        values = super().convert(values)
        for name in ("size", "crop_scale", "mean", "std"):
            if name in values:
                values[name] = _numbers(name, values[name])
        if "missing" in values:
            values["missing"] = str(values["missing"])
        return values

    def __post_init__(self):
        super().__post_init__()
        if any(side < 1 for side in self.size):
            raise ValueError(
                f"data.size={self.size} must hold positive lengths, one a spatial axis"
            )
        scale = self.crop_scale
        if len(scale) != 2 or not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(
                f"data.crop_scale={scale} must be (low, high) with 0 < low <= high <= 1;"
                " (1, 1) switches random crops off"
            )
        unit = "of values scaled to [0, 1]; divide those of pixels up to 255 by 255"
        if any(not 0 <= value <= 1 for value in self.mean):
            raise ValueError(f"data.mean={self.mean} must be in [0, 1]: it is {unit}")
        if any(not 0 < value <= 1 for value in self.std):
            raise ValueError(f"data.std={self.std} must be above 0 and at most 1: it is {unit}")
        if self.channels not in (0, 1, 3):
            raise ValueError(f"data.channels={self.channels} must be 0 (as stored), 1 or 3")
        if math.prod(self.size) >= MAX_POSITIONS:
            raise ValueError(
                f"data.size={self.size} makes {math.prod(self.size)} positions; it must make fewer"
                f" than {MAX_POSITIONS}"
            )
        limits = {"randaugment_magnitude": 10, "erase": 1, "randaugment_deviation": math.inf}
        for name, most in limits.items():
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"data.{name}={getattr(self, name)} must be from 0 to {most}")
        if self.randaugment < 0:
            raise ValueError(f"data.randaugment={self.randaugment} must be at least 0")
        if self.missing and (self.randaugment or self.erase):
            raise ValueError(
                f"data.missing={self.missing!r} does not go with data.randaugment and data.erase,"
                " which know no missing numbers: set these to 0"
            )
        if self.missing and self.missing_number is None:
            raise ValueError(
                f"data.missing={self.missing!r} must be a number, such as '-9999', or 'nan', which"
                " 'hide:-9999' and 'hide' also hide; '' if none stands for no data"
            )

    @property
    def missing_number(self) -> int | float | None:
        """The stored number that stands for no data, None where there is none."""
        number = "nan" if self.missing == "hide" else self.missing.removeprefix("hide:")
        for kind in (int, float):  # an int of 64 bits is more than a float holds
            with contextlib.suppress(ValueError):
                return kind(number)
        return None

    @property
    def has_crop(self) -> bool:
        """Whether training takes random resized crops."""
        return self.crop_scale != (1, 1)
