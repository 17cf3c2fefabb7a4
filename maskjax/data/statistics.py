"""Mean and standard deviation of a data set, per channel."""

import dataclasses

import numpy as np

from maskjax.data.pipeline import Loader
from maskjax.data.settings import Settings
from maskjax.data.sources import take
from maskjax.data.transforms import to_unit

# Mean and std come from about so many numbers, within these bounds on the examples.
_STATISTICS_NUMBERS = 2**21
_STATISTICS_EXAMPLES = (256, 4096)


def statistics(loader: Loader, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and std [1, ..., C] as set, or of a fixed sample of the loader's examples."""
    shape, channels = loader.shape, loader.shape[-1]
    for key in ("mean", "std"):
        if len(getattr(settings, key)) not in (0, 1, channels):
            raise ValueError(
                f"data.{key} has {len(getattr(settings, key))} numbers for {channels} channels"
            )
    mean, std = settings.mean, settings.std
    if not (mean and std):
        wanted = _STATISTICS_NUMBERS // int(np.prod(shape))
        count = int(np.clip(wanted, *_STATISTICS_EXAMPLES))
        sample = dataclasses.replace(loader, source=take(loader.source, count))
        total, squares, examples = np.zeros(channels), np.zeros(channels), 0
        for index in range(len(sample.source)):
            inputs, _, is_valid = sample.evaluate(index)
            if is_valid:
                pixels = to_unit(inputs).astype(np.float64).reshape(-1, channels)
                total += pixels.mean(0)
                squares += (pixels**2).mean(0)
                examples += 1
        if not examples:
            raise ValueError(f"data source {settings.source!r}: no example could be decoded")
        found_mean = total / examples
        found_std = np.sqrt(np.maximum(squares / examples - found_mean**2, 0))
        mean = mean or found_mean
        std = std or np.where(found_std > 1e-6, found_std, 1)  # a constant channel stays so
    frame = (1,) * (len(shape) - 1) + (channels,)
    mean, std = (np.broadcast_to(np.asarray(value, np.float32), frame) for value in (mean, std))
    return mean.copy(), std.copy()
