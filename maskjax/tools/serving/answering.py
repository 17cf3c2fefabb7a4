"""From rows that were computed to JSON."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from maskjax.tools.exported import Exported
from maskjax.tools.rows import CLASSES
from maskjax.tools.serving.parsing import Question
from maskjax.tools.serving.refused import Refused

_PICTURES = ("seen", "prediction", "pasted")
_LEAST_SIDE = 96  # a smaller picture is enlarged, in whole steps


def answer(model: Exported, question: Question, found: Mapping[str, Sequence[Any]]) -> bytes:
    """Write the answer to a request.

    Args:
        model: what was asked.
        question: the request.
        found: rows of each output.

    Returns:
        JSON: "outputs", by name a list with a row an input, null where a number is not finite; for
        "classes" also "class", the likeliest by its name or number, and "class_names".

    Raises:
        Refused: pictures of what is none.
    """
    outputs = {
        name: [_row(model, row, question.has_pictures) for row in rows]
        for name, rows in found.items()
    }
    content: dict[str, Any] = {"outputs": outputs}
    if question.has_pictures:
        content["pictures"] = [
            _picture(_unit(model, example["inputs"])) for example in question.examples
        ]
    if CLASSES in found:
        places = [int(np.argmax(row)) for row in found[CLASSES]]
        names = model.class_names
        content["class"] = [names[place] if names else place for place in places]
        content["class_names"] = list(names) or None
    return json.dumps(content, allow_nan=False).encode()


def _row(model: Exported, row: Any, has_pictures: bool) -> Any:
    if not isinstance(row, Mapping):
        return _numbers(row)
    if not has_pictures:
        return {name: _numbers(x) for name, x in row.items()}
    shown = {name: x for name, x in row.items() if name in _PICTURES}
    if "is_absent" in row and "seen" in shown:
        shown["seen"] = np.where(row["is_absent"], np.float32(0.5), shown["seen"])
    return {name: _picture(x) for name, x in shown.items()}


def _numbers(x: Any) -> Any:
    """Lists of numbers; JSON knows no NaN and no infinity."""
    x = np.asarray(x)
    if not np.isfinite(x).all():
        x = x.astype(object)
        x[~np.isfinite(x.astype(float))] = None
    return x.tolist()


def _unit(model: Exported, inputs: np.ndarray) -> np.ndarray:
    return inputs / np.float32(255) if inputs.dtype == np.uint8 else inputs


def _picture(x: np.ndarray) -> str:
    """Make a PNG, as an address that a page can show, of numbers in [0, 1]."""
    if x.ndim != 3 or x.shape[-1] not in (1, 3):
        raise Refused(422, f"examples of shape {x.shape} are no pictures: leave pictures out")
    pixels = np.rint(np.clip(np.nan_to_num(x), 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(pixels[..., 0] if x.shape[-1] == 1 else pixels)
    factor = -(-_LEAST_SIDE // min(image.size))
    if factor > 1:
        image = image.resize(
            (image.width * factor, image.height * factor), Image.Resampling.NEAREST
        )
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
