"""Crops of pictures, and how they are resized: of images that PIL holds, and of arrays."""

import math

import numpy as np
from PIL import Image

from maskjax.typing import Num

# (top, left, height, width) in pixels of the upright image; fractions are allowed.
Box = tuple[float | int, float | int, float | int, float | int]


def resample(image: Image.Image, size, box: Box | None) -> Image.Image:
    """Crop to a box and resize; without a size, only crop (to whole pixels)."""
    if box is not None:
        top, left, height, width = box
        bottom, right = min(top + height, image.height), min(left + width, image.width)
        # PIL's resize(box=...) would let pixels outside the box into its edges.
        x, y = math.floor(left), math.floor(top)
        image = image.crop((x, y, math.ceil(right), math.ceil(bottom)))
        box = (left - x, top - y, right - x, bottom - y)
    if size is None:
        return image
    return image.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=box)


def crop_resize(
    pixels: Num[np.ndarray, "H W C"], *, size: tuple[int, int] | None, box: Box | None
) -> Num[np.ndarray, "h w C"]:
    """Crop and resize an image that is an array already (bicubic, antialiased).

    Args:
        pixels: uint8 of any range, or floats whose nominal range is [0, 1], NaN where there is
            nothing; an entry of the result that a NaN enters is NaN.
        size: (height, width) to resize to; None keeps the crop's.
        box: the crop, None for all.

    Returns:
        The resized crop in the dtype that came in (floats as float32); overshoot of the bicubic
        kernel is cut to [0, 1], or to the image's own range where that is wider.
    """
    if box is None and size in (None, pixels.shape[:2]):
        return pixels
    if pixels.dtype == np.uint8 and pixels.shape[-1] == 3:
        return np.asarray(resample(Image.fromarray(pixels), size, box))
    kind = np.uint8 if pixels.dtype == np.uint8 else np.float32
    planes = [
        np.asarray(resample(Image.fromarray(np.ascontiguousarray(plane, kind)), size, box))
        for plane in np.moveaxis(pixels, -1, 0)
    ]
    resized = np.stack(planes, -1)
    if kind == np.uint8:
        return resized
    low, high = np.fmin.reduce(pixels, axis=None), np.fmax.reduce(pixels, axis=None)
    return np.clip(resized, np.fmin(0, low), np.fmax(1, high))


def centre_box(height: int, width: int, size: tuple[int, int]) -> Box:
    """Return the largest centred crop with the aspect ratio of `size`."""
    scale = min(height / size[0], width / size[1])
    box_height, box_width = size[0] * scale, size[1] * scale
    return ((height - box_height) / 2, (width - box_width) / 2, box_height, box_width)


def random_box(
    rng: np.random.Generator, height: int, width: int, scale: tuple[float, float]
) -> Box:
    """Draw a random resized crop (Szegedy et al. 2015, section 6; aspect ratios 3/4 to 4/3).

    Args:
        rng: the generator.
        height: of the image in pixels.
        width: of the image in pixels.
        scale: (low, high) share of the image's area, uniform.

    Returns:
        A box of whole pixels inside the image: area uniform in `scale`, aspect ratio
        log-uniform. After ten draws that do not fit, the largest centred crop whose aspect ratio
        is in range.
    """
    low, high = np.log(3 / 4), np.log(4 / 3)
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        aspect = np.exp(rng.uniform(low, high))
        box_width, box_height = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(rng.integers(height - box_height + 1))
            left = int(rng.integers(width - box_width + 1))
            return (top, left, box_height, box_width)
    box_width = min(width, max(1, round(height * 4 / 3)))
    box_height = min(height, max(1, round(width * 4 / 3)))
    return ((height - box_height) // 2, (width - box_width) // 2, box_height, box_width)
