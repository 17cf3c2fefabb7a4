"""What the model's inputs look like, and the way to them from an image file and back."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from maskjax.data.images import MAX_CHANNELS, EncodedImage
from maskjax.data.ranges import can_hold, to_unit
from maskjax.data.transforms import Transform
from maskjax.typing import Float


@dataclasses.dataclass(frozen=True)
class Normaliser:
    """Shape and scale of one example; enough to read and to draw images of one's own.

    Attributes:
        shape: (*spatial, C) of one example.
        mean: of values in [0, 1] per channel, [1, ..., C]: broadcasts with one example.
        std: like `mean`.
        missing: the stored number that stands for no data, None where there is none.
    """

    shape: tuple[int, ...]
    mean: np.ndarray
    std: np.ndarray
    missing: int | float | None

    @classmethod
    def from_description(
        cls, description: Mapping[str, Any], missing: int | float | None = None
    ) -> "Normaliser":
        """Make it from what `Data.describe` said, without the data.

        Args:
            description: values that JSON knows.
            missing: as in `config.data`.

        Raises:
            KeyError: the description lacks "shape", "mean" or "std".
        """
        shape = tuple(description["shape"])
        frame = (1,) * (len(shape) - 1) + shape[-1:]
        mean, std = (np.array(description[key], np.float32) for key in ("mean", "std"))
        return cls(shape, mean.reshape(frame), std.reshape(frame), missing)

    def read_image(self, path: str | os.PathLike[str]) -> Float[np.ndarray, "*shape"]:
        """Read an image file of one's own as an evaluation example.

        Args:
            path: JPEG, PNG, WebP, TIFF, BMP or GIF.

        Returns:
            float32, the shape of an example, normalised; NaN where it has no number.

        Raises:
            FileNotFoundError: there is no such file.
            UndecodableError: it is no image.
            ValueError: examples of this data are no images, or of more channels than image files.
        """
        if len(self.shape) != 3 or self.shape[-1] > MAX_CHANNELS:
            raise ValueError(f"{path}: images do not fit this data, of shape {self.shape}")
        if not os.path.isfile(path):
            raise FileNotFoundError(f"{path}: no such file; give the path of an image")
        missing = self.missing
        if missing is not None and not can_hold(np.dtype(np.uint16), missing):
            missing = None  # the run's arrays hold it, and no image file can
        transform = Transform(size=self.shape[:2], channels=self.shape[-1], missing=missing)
        x = to_unit(transform(EncodedImage(str(path), str(path))))
        return (x - self.mean) / self.std

    def denormalise(self, x: Any) -> Float[np.ndarray, "*batch_and_shape"]:
        """Undo the normalisation.

        Args:
            x: [..., *shape] normalised.

        Returns:
            float32 of the same shape: [0, 1] in the training split, each channel by its own range
            where the dtype does not tell it; beyond that where x is.
        """
        return (np.asarray(x, np.float32) * self.std + self.mean).astype(np.float32)
