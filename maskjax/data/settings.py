"""The keys of `config.data`: names, defaults, and what their values may be."""

import contextlib
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from maskjax.keys import KEYS
from maskjax.spelling import unknown_name

MAX_WORKERS = 512  # each is a process of some 100 MB
MAX_POSITIONS = 2**31  # of one example; they are counted in int32

Config = ConfigDict | Mapping[str, Any]


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


def _default(name: str) -> Any:
    return KEYS[f"data.{name}"].default


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to read and how to prepare it: one field for each key of `config.data`.

    Attributes:
        source: name of a source, then where it needs one a colon and its argument
            (`digits`, `folder:DIR`; `maskjax.data.SOURCES` lists the names).
        eval_source: where evaluation examples come from; "" takes them from `source`.
        size: entries along each spatial axis; () leaves examples as stored. Images are cropped
            centrally to the size's aspect ratio, then resized (bicubic, antialiased); other ranks
            are resized linearly.
        crop_scale: share of an image's area that a random resized crop takes, (low, high) within
            (0, 1]; (1, 1) is no random crop. Training only.
        flip: whether each training image is mirrored left to right with probability 1/2.
        mean: per channel, of values scaled to [0, 1]; () computes it from a fixed sample of the
            training split. One number serves all channels.
        std: like `mean`; above 0 and at most 1.
        channels: 0 as stored, 1 grey, 3 RGB.
        num_workers: processes that prepare training batches, at most 512; 0 prepares them in this
            process.
        eval_fraction: share held out in [0, 1) where the source has no evaluation split.
        bad_files: "error" refuses undecodable images, "skip" leaves them out and logs them.
        limit: number of training examples to keep, a fixed subset for all seeds; 0 keeps all.
        missing: stored number that stands for no data, such as "-9999" or "nan"; it is left out of
            ranges, statistics and the loss, and the model sees the channel's mean in its place. ""
            is none.

    Raises:
        ValueError: where a value is outside what is stated here.
    """

    source: str = _default("source")
    eval_source: str = _default("eval_source")
    size: tuple[int, ...] = _default("size")
    crop_scale: tuple[float, ...] = _default("crop_scale")
    flip: bool = _default("flip")
    mean: tuple[float, ...] = _default("mean")
    std: tuple[float, ...] = _default("std")
    channels: int = _default("channels")
    num_workers: int = _default("num_workers")
    eval_fraction: float = 0.1
    bad_files: str = _default("bad_files")
    limit: int = _default("limit")
    missing: str = _default("missing")

    @classmethod
    def from_config(cls, config: Config) -> "Settings":
        """Read the settings from a mapping; keys left out take their defaults.

        Args:
            config: a ConfigDict or dict with keys named like the attributes.

        Returns:
            The checked settings.

        Raises:
            ValueError: for an unknown key or a value out of range.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        values = dict(config.items())
        for name in values:
            if name not in fields:
                raise ValueError(unknown_name("key in config.data", name, fields))
        for name in ("size", "crop_scale", "mean", "std"):
            if name in values:
                values[name] = _numbers(name, values[name])
        if "eval_fraction" in values:
            values["eval_fraction"] = float(values["eval_fraction"])
        if "missing" in values:
            values["missing"] = str(values["missing"])
        return cls(**values)

    def __post_init__(self):
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
        if not 0 <= self.eval_fraction < 1:
            raise ValueError(f"data.eval_fraction={self.eval_fraction} must be in [0, 1)")
        if self.bad_files not in ("error", "skip"):
            raise ValueError(f"data.bad_files={self.bad_files!r} must be 'error' or 'skip'")
        if self.num_workers > MAX_WORKERS:
            raise ValueError(f"data.num_workers={self.num_workers} must be at most {MAX_WORKERS}")
        if math.prod(self.size) >= MAX_POSITIONS:
            raise ValueError(
                f"data.size={self.size} makes {math.prod(self.size)} positions; it must make fewer"
                f" than {MAX_POSITIONS}"
            )
        if self.missing and self.missing_number is None:
            raise ValueError(
                f"data.missing={self.missing!r} must be a number, such as '-9999', or 'nan'; ''"
                " if none stands for no data"
            )
        for name in ("num_workers", "limit"):
            if getattr(self, name) < 0:
                raise ValueError(f"data.{name}={getattr(self, name)} must not be negative")

    @property
    def missing_number(self) -> int | float | None:
        """The stored number that stands for no data, None where there is none."""
        for kind in (int, float):  # an int of 64 bits is more than a float holds
            with contextlib.suppress(ValueError):
                return kind(self.missing)
        return None

    @property
    def has_crop(self) -> bool:
        """Whether training takes random resized crops."""
        return self.crop_scale != (1, 1)
