"""Images, and arrays of any other number of axes: signals, video, volumes."""

import dataclasses

import numpy as np

from maskjax.data.image import arrays, folder, generated, tfds, vectors
from maskjax.data.image.augment import Augment
from maskjax.data.image.gates import has_gates, read_gate
from maskjax.data.image.processor import ImageProcessor
from maskjax.data.image.ranges import check_scales
from maskjax.data.image.settings import ImageSettings
from maskjax.data.image.shapes import shape_of
from maskjax.data.image.statistics import statistics
from maskjax.data.image.transforms import Transform
from maskjax.data.sources import MODALITIES, SPLITS, Modality, Sample, Splits

_LOOKED_AT = 16  # examples of each split, to see of how many bits they are

# Imported because importing them registers their sources.
_SOURCES = (arrays, folder, generated, tfds, vectors)


def prepare(splits: Splits, settings: ImageSettings, sample: Sample) -> ImageProcessor:
    """Make the processor of opened sources; see `Modality`."""
    train = splits.train
    for source in splits.set_apart().values():
        check_scales(train.value_range, source.value_range)
    shape = shape_of(splits, settings)
    transform = Transform(
        size=shape[:-1],
        channels=settings.channels,
        crop_scale=settings.crop_scale,
        flip=settings.flip,
        value_range=train.value_range,
        missing=settings.missing_number,
    )
    has_gate = has_gates(splits, settings.gate) or bool(settings.gate)
    unscaled = ImageProcessor(
        shape, np.zeros(1), np.ones(1), transform, has_gate=has_gate,
        gate=read_gate(settings.gate, shape) if settings.gate else None,
    )  # fmt: skip
    if has_gate and settings.randaugment:
        raise ValueError(
            "data.randaugment moves pixels, and a gate would stay where it is: set"
            " data.randaugment=0"
        )
    mean, std = statistics(unscaled, train, settings, sample)
    transform = dataclasses.replace(transform, augment=_augment(settings, shape, mean))
    return dataclasses.replace(unscaled, mean=mean, std=std, transform=transform)


def _augment(settings: ImageSettings, shape: tuple[int, ...], mean: np.ndarray) -> Augment:
    """What is done to training images beside crop and flip; the mean comes in from outside."""
    made = Augment(
        settings.randaugment,
        settings.randaugment_magnitude,
        settings.randaugment_deviation,
        settings.erase,
        tuple(np.rint(255 * mean.reshape(-1)).astype(int).tolist()),
    )
    if made.is_on and (len(shape) != 3 or (made.count and shape[-1] not in (1, 3))):
        name = "randaugment" if made.count else "erase"
        raise ValueError(
            f"data.{name} is for images of 1 or 3 channels, and examples are of shape {shape}:"
            f" set data.{name}=0"
        )
    return made


def compact(
    processor: ImageProcessor, splits: Splits, settings: ImageSettings, sample: Sample
) -> ImageProcessor:
    """Let batches hold 8 bits a number, where a few examples of every split do; see `Modality`.

    A source that has looked at its files also knows of the rare ones that hold more.
    """
    is_narrow = (
        settings.compact
        and processor.missing is None
        and not any(source.is_wide for source in (splits.train, *splits.set_apart().values()))
        and all(
            example["inputs"].dtype == np.uint8
            for split in SPLITS
            for example in sample(processor, _LOOKED_AT, split)
        )
    )
    return dataclasses.replace(processor, is_compact=is_narrow)


MODALITIES["image"] = Modality(ImageSettings, prepare, ImageProcessor.restore, compact)

__all__ = ["ImageProcessor", "ImageSettings"]
