"""Soft gates from outside: m for each pixel, of all examples alike or of each; 1 = seen."""

import copy
import dataclasses
from pathlib import Path

import numpy as np

from maskjax.data.image.augment import NOTHING
from maskjax.data.image.files import EncodedImage, decode
from maskjax.data.image.ranges import to_unit
from maskjax.data.image.transforms import Transform
from maskjax.data.sources import Splits
from maskjax.paths import local_path
from maskjax.typing import Float, Shaped


def as_gate(
    values: Shaped[np.ndarray, "*stored"], shape: tuple[int, ...], name: str
) -> Float[np.ndarray, "*shape"]:
    """Check the numbers of a gate.

    Args:
        values: m from 0 (hidden) to 1 (seen), bools, or whole numbers of 8 or 16 bits, whose
            largest is 1; with or without an axis of one channel.
        shape: that they must have.
        name: for messages.

    Returns:
        m, float32.

    Raises:
        ValueError: another shape or dtype, or a number that is no m.
    """
    if values.shape == (*shape, 1):
        values = values[..., 0]
    if values.shape != shape:
        raise ValueError(
            f"{name} has shape {values.shape}; give one number for each place, of shape {shape}"
        )
    if values.dtype.kind not in "bf" and values.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"{name} holds {values.dtype}; give floats from 0 (hidden) to 1 (seen), bools, or uint8"
        )
    gate = values.astype(np.float32) if values.dtype.kind == "b" else to_unit(values)
    if not ((gate >= 0) & (gate <= 1)).all():
        wrong = gate[~((gate >= 0) & (gate <= 1))][0]
        raise ValueError(f"{name} holds {wrong}; give numbers from 0 (hidden) to 1 (seen)")
    return gate


def read_gate(text: str, shape: tuple[int, ...]) -> Float[np.ndarray, "*spatial"]:
    """Read `data.gate`, one m for each place of every example.

    Args:
        text: path of a .npy file, or of a picture, whose grey values are m and which is resized.
        shape: (*spatial, C) of an example.

    Returns:
        m, float32 [*spatial].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read, or does not fit; the message says what would.
    """
    path, name = local_path(text, "data.gate"), f"data.gate={text!r}"
    if not path.is_file():
        raise FileNotFoundError(f"{name}: no such file; give a .npy file or a picture of m")
    if path.suffix != ".npy":
        return _read_picture(path, shape, name)
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{name} cannot be read ({error}); write it with numpy.save") from error
    return as_gate(values, shape[:-1], name)


def _read_picture(
    path: Path, shape: tuple[int, ...], name: str
) -> Float[np.ndarray, "*spatial"]:  # fmt: skip
    if len(shape) != 3:
        raise ValueError(
            f"{name}: a picture does not fit examples of shape {shape}; give a .npy file of shape"
            f" {shape[:-1]}"
        )
    size = (shape[0], shape[1])
    image = EncodedImage(str(path), str(path))
    return as_gate(decode(image, channels=1, size=size, choose_box=lambda *_: None), size, name)


def like_image(
    gate: Float[np.ndarray, "*stored"], transform: Transform, rng: np.random.Generator | None
) -> Float[np.ndarray, "*spatial"]:
    """Crop, flip and resize a gate as the transform does with its image.

    Args:
        gate: m for each place of the stored image.
        transform: of the image.
        rng: as the image's, before it is used.
    """
    alike = dataclasses.replace(
        transform, channels=0, value_range=None, missing=None, augment=NOTHING
    )
    return alike(gate[..., None], copy.deepcopy(rng))[..., 0]


def has_gates(splits: Splits, text: str) -> bool:
    """Tell whether records have gates of their own.

    Args:
        splits: opened.
        text: `data.gate`.

    Raises:
        ValueError: some have and others not, or there is one for all beside them.
    """
    found = {
        name: source.has_gate
        for name, source in {"train": splits.train, **splits.set_apart()}.items()
    }
    if len(set(found.values())) > 1:
        bare = ", ".join(name for name, has_gate in found.items() if not has_gate)
        raise ValueError(f"some splits have a 'gate' and {bare} has none; give all of them one")
    if found["train"] and text:
        raise ValueError(f"data.gate={text!r}: each example of the source has a gate; set it to ''")
    return found["train"]
