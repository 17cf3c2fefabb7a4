"""RandAugment and random erasing: what may be done to a training image after crop and flip.

RandAugment is that of Cubuk et al. 2020 as timm's "rand-m9-mstd0.5-inc1" has it, with which DeiT
and the reference MAE fine-tune: of 15 operations as many as `count` are drawn, with replacement;
each is left out with chance one half; its strength is drawn around `magnitude`, and the operations
whose strength has two directions take either. A strength of 10 is the strongest.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from maskjax.typing import Num

STRONGEST = 10.0
_CHANCE = 0.5  # that an operation is carried out
_ERASED_AREA = (0.02, 1 / 3)  # share of the image; timm's, the paper has up to .4
_ERASED_ASPECT = (0.3, 1 / 0.3)
_TRIES = 10
# (image, strength from 0 to 1, direction 1 or -1, colour of what comes from outside) -> image.
Operation = Callable[[Image.Image, float, int, tuple[int, ...]], Image.Image]


def _enhanced(kind: Callable[..., ImageEnhance._Enhance]) -> Operation:
    return lambda image, level, sign, fill: kind(image).enhance(max(0.1, 1 + sign * 0.9 * level))


def _affine(matrix: Callable[[Image.Image, float], tuple[float, ...]]) -> Operation:
    """The pixel (x, y) comes from (a x + b y + c, d x + e y + f)."""

    def operation(
        image: Image.Image, level: float, sign: int, fill: tuple[int, ...]
    ) -> Image.Image:
        data, affine = matrix(image, sign * level), Image.Transform.AFFINE
        cubic = Image.Resampling.BICUBIC
        return image.transform(image.size, affine, data, cubic, fillcolor=_colour(image, fill))

    return operation


def _rotated(image: Image.Image, level: float, sign: int, fill: tuple[int, ...]) -> Image.Image:
    return image.rotate(sign * 30 * level, Image.Resampling.BICUBIC, fillcolor=_colour(image, fill))


def _colour(image: Image.Image, fill: tuple[int, ...]) -> int | tuple[int, ...]:
    return fill[0] if image.mode == "L" else tuple(fill)


def _posterised(image: Image.Image, level: float, sign: int, fill: tuple[int, ...]) -> Image.Image:
    """Keep the highest bits, at most 4 and down to none."""
    lost = 4 + int(4 * level)
    return image.point([x >> lost << lost for x in range(256)] * len(image.getbands()))


def _brightened(image: Image.Image, level: float, sign: int, fill: tuple[int, ...]) -> Image.Image:
    """Add to what is dark."""
    table = [min(255, x + int(110 * level)) if x < 128 else x for x in range(256)]
    return image.point(table * len(image.getbands()))


OPERATIONS: dict[str, Operation] = {
    "auto_contrast": lambda image, level, sign, fill: ImageOps.autocontrast(image),
    "equalise": lambda image, level, sign, fill: ImageOps.equalize(image),
    "invert": lambda image, level, sign, fill: ImageOps.invert(image),
    "rotate": _rotated,
    "posterise": _posterised,
    "solarise": lambda image, level, sign, fill: ImageOps.solarize(image, 256 - int(256 * level)),
    "solarise_add": _brightened,
    "colour": _enhanced(ImageEnhance.Color),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "shear_x": _affine(lambda image, by: (1, 0.3 * by, 0, 0, 1, 0)),
    "shear_y": _affine(lambda image, by: (1, 0, 0, 0.3 * by, 1, 0)),
    "translate_x": _affine(lambda image, by: (1, 0, 0.45 * by * image.width, 0, 1, 0)),
    "translate_y": _affine(lambda image, by: (1, 0, 0, 0, 1, 0.45 * by * image.height)),
}


@dataclasses.dataclass(frozen=True)
class Augment:
    """What is done to an image of one or three channels.

    Attributes:
        count: operations of RandAugment; 0 = none.
        magnitude: mean of their strength, from 0 to 10.
        deviation: its standard deviation; what is drawn beyond 0 or 10 is cut to that.
        erase: chance that a box becomes noise.
        fill: colour, a channel from 0 to 255, of what comes from outside of the image.
    """

    count: int = 0
    magnitude: float = 9.0
    deviation: float = 0.5
    erase: float = 0.0
    fill: tuple[int, ...] = (128, 128, 128)

    @property
    def is_on(self) -> bool:
        """Whether anything is done."""
        return self.count > 0 or self.erase > 0

    def __call__(
        self, x: Num[np.ndarray, "H W C"], rng: np.random.Generator
    ) -> Num[np.ndarray, "H W C"]:
        """Change an image.

        Args:
            x: uint8, or floats in [0, 1], which RandAugment rounds to 8 bits.
            rng: decides.

        Returns:
            The same dtype.
        """
        if self.count:
            x8 = x if x.dtype == np.uint8 else np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)
            for name in rng.choice(list(OPERATIONS), self.count):
                level = np.clip(rng.normal(self.magnitude, self.deviation), 0, STRONGEST)
                sign = 1 if rng.random() < 0.5 else -1
                if rng.random() < _CHANCE:
                    x8 = operate(name, x8, level / STRONGEST, sign, self.fill)
            x = x8 if x.dtype == np.uint8 else x8.astype(x.dtype) / 255
        return erased(x, rng) if rng.random() < self.erase else x


NOTHING = Augment()


def operate(
    name: str,
    x: Num[np.ndarray, "H W C"],
    level: float,
    sign: int = 1,
    fill: tuple[int, ...] = (128, 128, 128),
) -> Num[np.ndarray, "H W C"]:
    """Carry out one operation of RandAugment.

    Args:
        name: of `OPERATIONS`.
        x: uint8, of one or three channels.
        level: strength, from 0 to 1.
        sign: 1 or -1, for operations of two directions.
        fill: colour of what comes from outside.
    """
    image = Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x)
    return np.asarray(OPERATIONS[name](image, level, sign, fill)).reshape(x.shape)


def erased(
    x: Num[np.ndarray, "H W C"], rng: np.random.Generator
) -> Num[np.ndarray, "H W C"]:  # fmt: skip
    """Put noise in the place of a box (Zhong et al. 2020, algorithm 1, random values).

    The sides are drawn as timm draws them; its noise is normal in normalised units, which 8 bits do
    not hold, and this one uniform over all values, as the paper's.

    Args:
        x: uint8, or floats in [0, 1].
        rng: decides.

    Returns:
        A changed copy; x itself where no box fits in ten tries.
    """
    height, width, channels = x.shape
    for _ in range(_TRIES):
        area = rng.uniform(*_ERASED_AREA) * height * width
        aspect = math.exp(rng.uniform(*np.log(_ERASED_ASPECT)))
        tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if tall < height and wide < width:
            top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
            noise = rng.integers(0, 256, (tall, wide, channels), np.uint8)
            x = x.copy()
            box = x[top : top + tall, left : left + wide]
            box[...] = noise if x.dtype == np.uint8 else noise.astype(x.dtype) / 255
            break
    return x
