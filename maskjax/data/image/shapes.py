"""The shape of an example: what a source stores, and what the settings make of it."""

from maskjax.data.image.files import MAX_CHANNELS
from maskjax.data.image.settings import ImageSettings
from maskjax.data.sources import Source, Splits


def shape_of(splits: Splits, settings: ImageSettings) -> tuple[int, ...]:
    """Return the shape (*spatial, C) that all examples have after the transforms.

    Args:
        splits: the opened sources.
        settings: size, channels and augmentation are looked at.

    Raises:
        ValueError: settings and data do not fit, or examples of two splits differ.
    """
    shape = _example_shape(splits.train, settings, settings.source)
    for split, source in splits.set_apart().items():
        name = getattr(settings, f"{split}_source") or settings.source
        found = _example_shape(source, settings, name)
        if found != shape:
            raise ValueError(
                f"{split} examples from {name!r} have shape {found}, training examples {shape};"
                " set data.size (and data.channels)"
            )
    return shape


def _example_shape(source: Source, settings: ImageSettings, name: str) -> tuple[int, ...]:
    """Return the shape after the transforms, or raise where settings and data do not fit."""
    spatial, stored_channels = source.shape[:-1], source.shape[-1]
    if settings.size and len(settings.size) != len(spatial):
        raise ValueError(
            f"data.size={settings.size} has {len(settings.size)} lengths, but {name!r} has"
            f" {len(spatial)} spatial axes"
        )
    _refuse_channels_first(source.shape, settings.size, name)
    size = settings.size or tuple(side for side in spatial if side is not None)
    if len(size) < len(spatial):
        raise ValueError(
            f"data source {name!r} has examples of different sizes; set data.size to one length"
            " for each spatial axis"
        )
    channels = settings.channels or stored_channels
    if channels is None:
        raise ValueError(
            f"data source {name!r} has examples with different numbers of channels; set"
            " data.channels to 1 or 3"
        )
    if len(spatial) != 2 and (settings.has_crop or settings.flip):
        raise ValueError(
            f"data.crop_scale and data.flip are for images, but {name!r} has {len(spatial)} spatial"
            " axes; leave them at (1, 1) and False"
        )
    if (
        channels != stored_channels
        and stored_channels is not None
        and stored_channels > MAX_CHANNELS
    ):
        raise ValueError(
            f"data.channels={channels} cannot be had from the {stored_channels} channels of"
            f" {name!r}; set it to 0"
        )
    return (*size, channels)


def _refuse_channels_first(shape: tuple[int | None, ...], size: tuple[int, ...], name: str) -> None:
    """Raise where a first axis must be the channels.

    It has few entries before long ones, or what follows it has the very size that is asked for.
    What stands last would be taken for the channels, and the first axis resized.
    """
    first, *others = (side or 0 for side in shape)
    is_short = 0 < first <= MAX_CHANNELS < min(others) and size[:1] != (first,)
    if is_short or (first and size == tuple(others) and size != shape[:-1]):
        stored = ",".join(map(str, shape[:-1]))
        raise ValueError(
            f"data source {name!r} has examples of shape {shape}; the channels must come last:"
            " numpy.moveaxis(x, 1, -1) puts those of a second axis of x there. If the last axis"
            f" holds the channels, set data.size={stored}"
        )
