"""Mean and standard deviation of a data set, per channel."""

import numpy as np
from absl import logging

from maskjax.data.image.files import EncodedImage
from maskjax.data.image.processor import ImageProcessor, frame
from maskjax.data.image.ranges import check_missing, to_unit
from maskjax.data.image.settings import ImageSettings
from maskjax.data.sources import Sample, Source

# Mean and std come from about so many numbers, within these bounds on the examples.
_STATISTICS_NUMBERS = 2**21
_STATISTICS_EXAMPLES = (256, 4096)
# Channels that span less, in the unit of their value range, are constant but for rounding.
_CONSTANT = 1e-6
# Examples that differ by less than this share of a channel's span look the same.
_SAME = 1 / 255
_MAX_NAMED = 10


class _Moments:
    """Sums over the known numbers of each channel [C], less the first example's mean."""

    def __init__(self, channels: int):
        self.count, self.total, self.squares, self.shift = np.zeros((4, channels))
        self.low, self.high = np.full(channels, np.inf), np.full(channels, -np.inf)

    def add(self, numbers: np.ndarray) -> None:
        """Add one example [L, C], NaN where there is no number."""
        by_channel = np.ascontiguousarray(numbers.T, np.float64)
        self.low = np.fmin(self.low, np.fmin.reduce(by_channel, 1))
        self.high = np.fmax(self.high, np.fmax.reduce(by_channel, 1))
        is_known = ~np.isnan(by_channel)
        if not self.count.any():
            self.shift = by_channel.sum(1, where=is_known) / np.maximum(is_known.sum(1), 1)
        by_channel -= self.shift[:, None]
        by_channel[~is_known] = 0
        self.count += is_known.sum(1)
        self.total += by_channel.sum(1)
        self.squares += np.einsum("cl,cl->c", by_channel, by_channel)


def statistics(
    processor: ImageProcessor, train: Source, settings: ImageSettings, sample: Sample
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and std [1, ..., C] as set, or of a fixed sample of the training examples.

    They are of values in [0, 1] that are there; the std of a constant channel is 1. Warnings name
    the channels that are constant, and say where all examples are the same.

    Args:
        processor: makes the examples; what it says of mean and std is not looked at.
        train: the training examples.
        settings: mean and std, where they are set.
        sample: reads the sample.
    """
    channels = processor.shape[-1]
    for key in ("mean", "std"):
        if len(getattr(settings, key)) not in (0, 1, channels):
            raise ValueError(
                f"data.{key} has {len(getattr(settings, key))} numbers for {channels} channels"
            )
    mean, std = settings.mean, settings.std
    if not (mean and std):
        is_of_files = isinstance(train[0]["image"], EncodedImage)
        found_mean, found_std = _measured(processor, settings.source, sample, is_of_files)
        mean, std = mean or found_mean, std or found_std
    return frame(mean, processor.shape), frame(std, processor.shape)


def _measured(
    processor: ImageProcessor, name: str, sample: Sample, is_of_files: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and std of each channel [C]."""
    shape, channels, missing = processor.shape, processor.shape[-1], processor.missing
    count = int(np.clip(_STATISTICS_NUMBERS // int(np.prod(shape)), *_STATISTICS_EXAMPLES))
    moments, examples, first, is_same = _Moments(channels), 0, None, True
    wide: list[np.ndarray] = []  # some numbers of 16-bit image files
    for example in sample(processor, count):
        inputs = example["inputs"]
        unit = to_unit(inputs).reshape(-1, channels)
        moments.add(unit)
        first = unit if first is None else first
        limit = _SAME * (moments.high - moments.low)
        is_equal = (abs(unit - first) <= limit) | (np.isnan(unit) & np.isnan(first))
        is_same = is_same and bool(is_equal.all())
        if is_of_files and missing is None and inputs.dtype != np.uint8:
            wide.append(unit[:: max(1, unit.size * count // _STATISTICS_NUMBERS)])
        examples += 1
    if not examples:
        raise ValueError(f"data source {name!r}: no example could be decoded")
    if is_same and examples > 1:
        logging.warning(
            "data source %r: the %d training examples that were looked at are all the same, or"
            " nearly; look at the data", name, examples,
        )  # fmt: skip
    if is_of_files and missing is not None and moments.count.sum() == examples * np.prod(shape):
        logging.warning(
            "data source %r: no number that was looked at equals data.missing=%s", name, missing
        )
    if wide:
        stored = np.rint(np.concatenate(wide) * 65535).astype(np.uint16)
        check_missing(stored, None, f"data source {name!r}")
    number = np.maximum(moments.count, 1)
    offset = moments.total / number
    std = np.sqrt(np.maximum(moments.squares / number - offset**2, 0))
    is_constant = ~(moments.high - moments.low > _CONSTANT)
    if is_constant.any():
        found = np.flatnonzero(is_constant)
        logging.warning(
            "data source %r: %d of %d channels constant in the %d training examples that were"
            " looked at (number %s%s); nothing can be learned there",
            name, len(found), channels, examples,
            ", ".join(map(str, found[:_MAX_NAMED])), ", ..." if len(found) > _MAX_NAMED else "",
        )  # fmt: skip
    return moments.shift + offset, np.where(is_constant, 1, std)
