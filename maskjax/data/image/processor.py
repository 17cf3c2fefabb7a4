"""From images, and arrays of any number of axes, to the model's inputs and back."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from maskjax.data.corruption import Corruption
from maskjax.data.image.corruptions import CORRUPTIONS, corrupt
from maskjax.data.image.files import MAX_CHANNELS, EncodedImage
from maskjax.data.image.folder import SUFFIXES, image_files
from maskjax.data.image.gates import like_image, read_gate
from maskjax.data.image.ranges import can_hold, range_as_json, range_from_json
from maskjax.data.image.settings import ImageSettings
from maskjax.data.image.transforms import Transform
from maskjax.data.processor import Example, Record, UndecodableError
from maskjax.data.sources import digest
from maskjax.typing import Batch, Float, Num


@dataclasses.dataclass(frozen=True)
class ImageProcessor:
    """Reads {"image": array [*spatial, C] or `EncodedImage`} into {"inputs": [*spatial, C]}.

    Where there is a soft gate examples have a "gate" too, m [*spatial].

    Attributes:
        shape: (*spatial, C) of one example.
        mean: of values in [0, 1] per channel, float32 [1, ..., C]: broadcasts with one example.
        std: like `mean`.
        transform: what is done to an image before it is normalised.
        is_compact: whether batches hold 8 bits a number, for `on_device` to normalise.
        has_gate: whether there is a gate, of records or the one below.
        gate: m of all examples [*spatial], as the model sees them; None where records have theirs.
    """

    shape: tuple[int, ...]
    mean: np.ndarray
    std: np.ndarray
    transform: Transform
    is_compact: bool = False
    has_gate: bool = False
    gate: np.ndarray | None = None

    @classmethod
    def restore(cls, description: Mapping[str, Any], settings: ImageSettings) -> "ImageProcessor":
        """Make it from what `describe` said, without the data: enough for inputs of one's own.

        Args:
            description: values that JSON knows.
            settings: of the data that were described.

        Raises:
            KeyError: the description lacks "shape", "mean" or "std".
        """
        shape = tuple(description["shape"])
        missing = settings.missing_number
        mean, std = (frame(description[key], shape) for key in ("mean", "std"))
        value_range = range_from_json(description.get("value_range"))
        transform = Transform(shape[:-1], shape[-1], value_range=value_range, missing=missing)
        gate = read_gate(settings.gate, shape) if settings.gate else None
        return cls(shape, mean, std, transform, has_gate="gate" in description, gate=gate)

    @property
    def is_random(self) -> bool:
        """Whether training examples are cropped or flipped at random."""
        return self.transform.is_random

    @property
    def missing(self) -> int | float | None:
        """The stored number that stands for no data, None where there is none."""
        return self.transform.missing

    @property
    def in_words(self) -> str:
        """What examples are, and of which shape."""
        kind = "images" if len(self.shape) == 3 else "examples"
        return f"{kind} of {'x'.join(map(str, self.shape))}"

    def __call__(self, record: Record, rng: np.random.Generator | None = None) -> Example:
        """Transform an image; the batch normalises.

        Args:
            record: has "image", and where it has a gate of its own "gate" [*spatial].
            rng: for crops and flips, which a gate of its own shares.

        Returns:
            {"inputs": [*spatial, C], see `Transform`}, and where there is a gate "gate".

        Raises:
            UndecodableError: an image file that cannot be decoded.
            ValueError: an image that comes out in another shape.
        """
        own = like_image(record["gate"], self.transform, rng) if "gate" in record else None
        inputs = self.transform(record["image"], rng)
        if inputs.shape != self.shape:
            raise ValueError(
                f"an example has shape {inputs.shape} where {self.shape} is expected;"
                " set data.size (and data.channels)"
            )
        return self._gated(inputs, own)

    def _gated(self, inputs: np.ndarray, own: np.ndarray | None = None) -> Example:
        """Make an example; one that lacks the gate that others have is seen as it is."""
        if not self.has_gate:
            return {"inputs": inputs}
        seen = np.ones(self.shape[:-1], np.float32) if own is None else own
        return {"inputs": inputs, "gate": seen if self.gate is None else self.gate}

    @property
    def corruptions(self) -> tuple[str, ...]:
        """Names of those that there are; none where a number stands for no data."""
        return () if self.missing is not None else tuple(CORRUPTIONS)

    def corrupt(self, example: Example, corruption: Corruption, id: int) -> Example:
        """Corrupt an image, not its gate; see `Corrupting`."""
        return {**example, "inputs": corrupt(example["inputs"], corruption, id)}

    def empty(self) -> Example:
        """Make an image of zeros."""
        return self._gated(np.zeros(self.shape, np.uint8))

    def collate(self, examples: Sequence[Example]) -> dict[str, np.ndarray]:
        """Stack images and normalise them: (x - mean) / std for x in [0, 1].

        What is compact is only stacked, uint8.

        Returns:
            {"inputs": float32 [B, *shape]}, and where a number stands for no data "is_known": bool
            [B, *shape], False where an image has no number (NaN) and "inputs" is 0, the mean; and
            "gate" [B, *spatial] where there is one.

        Raises:
            ValueError: an image of more than 8 bits among compact ones.
        """
        arrays = [example["inputs"] for example in examples]
        gate = {"gate": np.stack([each["gate"] for each in examples])} if self.has_gate else {}
        if self.is_compact:
            if any(array.dtype != np.uint8 for array in arrays):
                raise ValueError(
                    "an image holds more than 8 bits a number, where those that were looked at "
                    "first hold 8: set data.compact=False"
                )
            return {"inputs": np.stack(arrays), **gate}
        kinds = {array.dtype for array in arrays}
        if len(kinds) > 1:  # 8 and 16 bits in one folder
            arrays = [a.astype(np.float32) / 255 if a.dtype == np.uint8 else a for a in arrays]
        inputs = self.normalise(np.stack(arrays))
        if self.missing is None:
            return {"inputs": inputs, **gate}
        is_known = ~np.isnan(inputs)
        inputs[~is_known] = 0
        return {"inputs": inputs, "is_known": is_known, **gate}

    def normalise(self, x: Num[np.ndarray, "B *shape"]) -> Float[np.ndarray, "B *shape"]:
        """Return (x / 255 if uint8 else x) in normalised units, float32."""
        unit = 255 if x.dtype == np.uint8 else 1
        # Whole rows rather than single pixels in the inner loop: NumPy is slow on an axis of 3.
        row = x.shape[-2]
        mean, std = self.mean.reshape(-1), self.std.reshape(-1).astype(np.float64)
        scale = np.tile((1 / (unit * std)).astype(np.float32), row)
        shift = np.tile((-mean / std).astype(np.float32), row)
        flat = np.multiply(x.reshape(-1, len(scale)), scale, dtype=np.float32)
        flat += shift
        return flat.reshape(x.shape)

    def on_device(self, batch: Batch) -> Batch:
        """Normalise what is compact, within a compiled program: a quarter of the bytes travel.

        As `normalise`, but that a compiler may multiply and add with one rounding: on two
        photographs a third of the numbers differed, by 1.2e-7 at most, where the unit is `std`.
        """
        inputs = batch["inputs"]
        if inputs.dtype != np.uint8:
            return batch
        std = self.std.astype(np.float64)
        scale, shift = (1 / (255 * std)).astype(np.float32), (-self.mean / std).astype(np.float32)
        frame = (1,) * (inputs.ndim - self.std.ndim) + self.std.shape
        numbers = inputs.astype(np.float32) * scale.reshape(frame) + shift.reshape(frame)
        return {**batch, "inputs": numbers}

    def denormalise(self, x: Any) -> Float[np.ndarray, "*batch_and_shape"]:
        """Undo the normalisation.

        Args:
            x: [..., *shape] normalised.

        Returns:
            float32 of the same shape: [0, 1] in the training split, each channel by its own range
            where the dtype does not tell it; beyond that where x is.
        """
        return (np.asarray(x, np.float32) * self.std + self.mean).astype(np.float32)

    def read_image(self, path: str | os.PathLike[str]) -> Example:
        """Read an image file of one's own as an evaluation example.

        Args:
            path: JPEG, PNG, WebP, TIFF, BMP or GIF.

        Raises:
            FileNotFoundError: there is no such file.
            UndecodableError: it is no image.
            ValueError: examples of this data are no images, or of more channels than image files.
        """
        self._check_images_fit(str(path))
        if not os.path.isfile(path):
            raise FileNotFoundError(f"{path}: no such file; give the path of an image")
        return self.from_image(EncodedImage(str(path), str(path)))

    def _check_images_fit(self, name: str) -> None:
        if len(self.shape) != 3 or self.shape[-1] > MAX_CHANNELS:
            raise ValueError(
                f"{name}: images do not fit this data, of shape {self.shape}; give an array "
                "of that shape, or [N, ...] of several, as a .npy file"
            )

    def from_image(self, image: EncodedImage) -> Example:
        """Make an example of an image file or its bytes; see `read_image`."""
        self._check_images_fit(image.name)
        missing = self.missing
        if missing is not None and not can_hold(np.dtype(np.uint16), missing):
            missing = None  # the run's arrays hold it, and no image file can
        transform = Transform(self.shape[:2], self.shape[-1], missing=missing)
        return self._gated(transform(image))

    def read_array(self, path: str | os.PathLike[str]) -> Iterator[Example]:
        """Read an array file of one's own, in the units that the run's arrays were stored in.

        Args:
            path: .npy, of one example [*spatial, C] or of several [N, *spatial, C].

        Raises:
            UndecodableError: it is no array.
            ValueError: numbers, or a shape, that do not fit.
        """
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise UndecodableError(f"{path} cannot be decoded ({error})") from error
        return self.from_array(array, str(path))

    def from_array(self, array: np.ndarray, name: str) -> Iterator[Example]:
        """Make examples of an array, which messages call by a name; see `read_array`."""
        rows = array[None] if array.ndim == len(self.shape) else array
        channels = (self.shape[-1], *range(1, MAX_CHANNELS + 1))
        fits = rows.ndim == len(self.shape) + 1 and rows.shape[-1] in channels
        if not fits or rows.dtype.kind not in "uif" or not rows.size:
            raise ValueError(
                f"{name} holds {array.dtype} of shape {array.shape}; give numbers of shape "
                f"{self.shape}, or [N, ...] of several"
            )
        if self.missing is None and not (np.abs(rows) <= np.finfo(np.float32).max).all():
            raise ValueError(f"{name} holds numbers that are not finite in float32: leave them out")
        yield from (self({"image": row}) for row in rows)

    def read(self, text: str, *, is_strict: bool = False) -> Iterator[tuple[str, Example]]:
        """Read an image file, or those in a folder and below it, or an array; see `Processor`."""
        if text.endswith(".npy") and os.path.isfile(text):
            for number, example in enumerate(self.read_array(text)):
                yield f"{os.path.basename(text)}[{number}]", example
            return
        if not os.path.isdir(text):
            yield os.path.basename(text), self.read_image(text)
            return
        files = image_files(text)
        if not files:
            raise FileNotFoundError(f"{text}: no images; files must end in {', '.join(SUFFIXES)}")
        for file in files:
            try:
                yield os.path.relpath(file, text), self.read_image(file)
            except UndecodableError as error:
                if is_strict:
                    raise
                logging.warning("left out: %s", error)

    def describe(self) -> dict[str, Any]:
        """Say what images are like.

        Returns:
            "shape"; "value_range", the stored numbers that stand for 0 and 1, or None where the
            dtype tells; "mean" and "std" of each channel, in [0, 1]; and where there is a gate
            "gate", a hash of it, or None where each example has its own.
        """
        gate = {"gate": None if self.gate is None else digest(self.gate)} if self.has_gate else {}
        return {
            "shape": list(self.shape),
            "value_range": range_as_json(self.transform.value_range),
            "mean": self.mean.reshape(-1).tolist(),
            "std": self.std.reshape(-1).tolist(),
            **gate,
        }


def frame(values: Any, shape: tuple[int, ...]) -> Float[np.ndarray, "*ones C"]:
    """Make of one number, or of one a channel, what broadcasts with an example of a shape."""
    ones = (1,) * (len(shape) - 1)
    return np.broadcast_to(np.asarray(values, np.float32), (*ones, shape[-1])).copy()
