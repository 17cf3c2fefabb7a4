"""What a program that stands alone is given: numbers as they are stored, before any preprocessing.

On the host a processor reads, crops and resizes; what is left to do, to scale and to normalise, is
done within the program. Examples of other modalities go in as their batches are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from maskjax import data as data_layer
from maskjax.data import Example, ImageProcessor, Processor
from maskjax.typing import Array, Batch

INPUTS = "inputs"
_COLOURS = (1, 3)
_TRAINERS = ("id", "epoch", "is_valid")  # entries of a batch that no output reads


def raw_batch(processor: Processor, examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """Make of examples what a program takes, the inverse of what it begins with.

    Args:
        processor: theirs.
        examples: at least one.

    Returns:
        Arrays [B, ...]: for images "inputs", uint8 where that holds them (an image of more bits is
        rounded), else float32 as stored, NaN where there is no number.
    """
    if not isinstance(processor, ImageProcessor):
        batch = data_layer.batch_of(processor, examples)
        return {name: np.asarray(x) for name, x in batch.items() if name not in _TRAINERS}
    arrays = [example[INPUTS] for example in examples]
    names = examples[0].keys() - {INPUTS}
    others = {name: np.stack([each[name] for each in examples]) for name in names}
    if is_narrow(processor):
        return {**others, INPUTS: np.stack([_as_bytes(x) for x in arrays])}
    low, high = _ends(processor)
    unit = np.stack([x.astype(np.float32) / 255 if x.dtype == np.uint8 else x for x in arrays])
    return {**others, INPUTS: (unit * (high - low) + low).astype(np.float32)}


def is_narrow(processor: ImageProcessor) -> bool:
    """Whether a program takes 8 bits a number: images of files, of one or three channels."""
    is_picture = len(processor.shape) == 3 and processor.shape[-1] in _COLOURS
    is_own_range = processor.transform.value_range is None
    return is_picture and is_own_range and processor.missing is None


def from_raw(processor: Processor, raw: Mapping[str, Any]) -> Batch:
    """Make of what a program is given the batch that a task reads; it can be traced."""
    if not isinstance(processor, ImageProcessor):
        return dict(raw)
    inputs = raw[INPUTS]
    if is_narrow(processor):
        return {**processor.on_device(dict(raw))}
    low, high = (end[None] for end in _ends(processor))
    mean, std, missing = processor.mean[None], processor.std[None], processor.missing
    numbers = ((inputs - low) / np.where(high > low, high - low, 1) - mean) / std
    if missing is None:
        return {**raw, INPUTS: numbers}
    is_known = ~(jnp.isnan(inputs) | (inputs == np.float32(missing)))
    return {**raw, INPUTS: jnp.where(is_known, numbers, 0), "is_known": is_known}


def in_units(processor: Processor, found: Any) -> Any:
    """Give an output that is a dict, of arrays like the inputs, back in [0, 1]; it can be traced.

    Everything else, flags among it, stays as it is.
    """
    if not (isinstance(found, Mapping) and isinstance(processor, ImageProcessor)):
        return found

    def back(x: Array) -> Array:
        is_flag = not jnp.issubdtype(x.dtype, jnp.floating)
        return x if is_flag else x * processor.std[None] + processor.mean[None]

    return {name: back(x) for name, x in found.items()}


def meaning(processor: Processor, name: str) -> str:
    """Say in words what stands in an entry."""
    if name != INPUTS or not isinstance(processor, ImageProcessor):
        return "as the trainer's batches hold it"
    if is_narrow(processor):
        return "pixels, 0 to 255, cropped and resized to this shape"
    low, high = (np.unique(end).tolist() for end in _ends(processor))
    ends = f"{low[0]:g} to {high[0]:g}" if len(low) == len(high) == 1 else f"{low} to {high}"
    missing = "" if processor.missing is None else f"; NaN or {processor.missing} where none is"
    return f"numbers as stored, {ends} in training{missing}"


def _ends(processor: ImageProcessor) -> tuple[np.ndarray, np.ndarray]:
    """What stands for 0 and 1, float32, broadcasting with an example."""
    ends = processor.transform.value_range or (0.0, 1.0)
    ones = (1,) * (len(processor.shape) - 1)
    wide = [np.broadcast_to(np.asarray(end, np.float32), processor.shape[-1:]) for end in ends]
    return wide[0].reshape(*ones, -1), wide[1].reshape(*ones, -1)


def _as_bytes(x: np.ndarray) -> np.ndarray:
    if x.dtype == np.uint8:
        return x
    return np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)
