"""Five corruptions of images at five severities, to judge what was learned on clean ones.

Named as in Hendrycks & Dietterich 2019, section 3; the severities are this table's own. Values are
in [0, 1] and stay there. What is drawn is the same at every severity of an example: stronger noise
is the same noise made larger, a larger box or share contains the smaller.

| severity | 1 | 2 | 3 | 4 | 5 | of |
|---|---|---|---|---|---|---|
| gaussian_noise | .05 | .1 | .15 | .2 | .3 | standard deviation of what is added |
| blur | .02 | .035 | .05 | .07 | .1 | standard deviation of the kernel over the shortest side |
| occlusion | .05 | .1 | .2 | .3 | .4 | share of the area under a grey box (.5) |
| contrast | .75 | .5 | .35 | .25 | .15 | factor of what differs from the mean |
| salt_and_pepper | .02 | .05 | .1 | .15 | .25 | share of the numbers that become 0 or 1 |
"""

import functools
from collections.abc import Callable

import numpy as np

from maskjax.data.corruption import Corruption
from maskjax.typing import Float, Num

Image = Float[np.ndarray, "*spatial C"]
GREY = 0.5  # of occlusion: what no mask fills with


def gaussian_noise(x: Image, rng: np.random.Generator, amount: float) -> Image:
    """Add independent Gaussian noise to every number."""
    return x + amount * rng.standard_normal(x.shape)


def blur(x: Image, rng: np.random.Generator, amount: float) -> Image:
    """Convolve each spatial axis with a Gaussian; the border is continued."""
    del rng
    std = amount * min(x.shape[:-1])
    for axis, size in enumerate(x.shape[:-1]):
        x = np.moveaxis(np.tensordot(_kernel(size, std), x, (1, axis)), 0, axis)
    return x


@functools.lru_cache(maxsize=64)
def _kernel(size: int, std: float) -> Float[np.ndarray, "size size"]:
    """Weights of each entry of an axis for each blurred one, cut at 4 standard deviations."""
    radius = int(np.ceil(4 * std))
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / std) ** 2)
    weights /= weights.sum()
    found = np.zeros((size, size))
    for offset, weight in zip(offsets, weights, strict=True):
        found[np.arange(size), np.clip(np.arange(size) + offset, 0, size - 1)] += weight
    return found


def occlusion(x: Image, rng: np.random.Generator, amount: float) -> Image:
    """Cover a box of the image's own shape, at a uniform place within it, with grey."""
    share = amount ** (1 / (x.ndim - 1))
    box = []
    for size in x.shape[:-1]:
        side = max(1, round(size * share))
        start = int(rng.random() * (size - side + 1))
        box.append(slice(start, start + side))
    x = x.copy()
    x[tuple(box)] = GREY
    return x


def contrast(x: Image, rng: np.random.Generator, amount: float) -> Image:
    """Move every number towards the mean of its channel."""
    del rng
    mean = x.mean(tuple(range(x.ndim - 1)), keepdims=True)
    return mean + amount * (x - mean)


def salt_and_pepper(x: Image, rng: np.random.Generator, amount: float) -> Image:
    """Set numbers to 0 or 1, whichever they were."""
    draws = rng.random(x.shape)
    return np.where(draws < amount / 2, 0.0, np.where(draws > 1 - amount / 2, 1.0, x))


# Each with its amounts, from severity 1 on.
CORRUPTIONS: dict[str, tuple[Callable[..., Image], tuple[float, ...]]] = {
    "gaussian_noise": (gaussian_noise, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "blur": (blur, (0.02, 0.035, 0.05, 0.07, 0.1)),
    "occlusion": (occlusion, (0.05, 0.1, 0.2, 0.3, 0.4)),
    "contrast": (contrast, (0.75, 0.5, 0.35, 0.25, 0.15)),
    "salt_and_pepper": (salt_and_pepper, (0.02, 0.05, 0.1, 0.15, 0.25)),
}


def corrupt(
    x: Num[np.ndarray, "*spatial C"], corruption: Corruption, id: int
) -> Num[np.ndarray, "*spatial C"]:
    """Corrupt one image, the same way at every call.

    Args:
        x: uint8, or in [0, 1].
        corruption: its name is one of `CORRUPTIONS`.
        id: of the example.

    Returns:
        Of the shape and dtype of `x`, within [0, 255] or [0, 1].
    """
    function, amounts = CORRUPTIONS[corruption.name]
    which = list(CORRUPTIONS).index(corruption.name)
    rng = np.random.default_rng((which, corruption.seed, id))
    is_narrow = x.dtype == np.uint8
    whole = x / 255 if is_narrow else x.astype(np.float64)
    found = np.clip(function(whole, rng, amounts[corruption.severity - 1]), 0, 1)
    return np.rint(255 * found).astype(np.uint8) if is_narrow else found.astype(x.dtype)
