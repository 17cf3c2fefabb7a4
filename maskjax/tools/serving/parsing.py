"""From the body of a request to examples: an image, an array, or JSON of several of them."""

import base64
import binascii
import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import UnidentifiedImageError

from maskjax.data import EncodedImage, Example, ImageProcessor, Processor, UndecodableError
from maskjax.data.history import HistoryProcessor
from maskjax.data.text import TextProcessor
from maskjax.tools.programs import INDEX, RATIO
from maskjax.tools.serving.refused import Refused
from maskjax.tools.serving.settings import Settings

_KINDS = "send an image, application/x-npy, or application/json"
_NUMBERS = {INDEX: (0, 2**31 - 1), RATIO: (0, 1)}


class Question(NamedTuple):
    """What a request asks.

    Attributes:
        examples: as the processor makes them.
        what: outputs; () for the default.
        given: "index" and "mask_ratio", one number for all rows, where they were given.
        has_pictures: whether pictures are wanted rather than numbers.
    """

    examples: list[Example]
    what: tuple[str, ...]
    given: dict[str, float]
    has_pictures: bool


def parse(
    body: bytes, kind: str, query: Mapping[str, str], processor: Processor, settings: Settings
) -> Question:
    """Read a request; it takes as long as decoding does, and belongs into a thread.

    Args:
        body: of at most `max_bytes`.
        kind: its content type.
        query: parameters of the address; those of a JSON body win.
        processor: of the model.
        settings: the limits.

    Raises:
        Refused: what cannot be read, or goes beyond a limit.
    """
    kind = kind.partition(";")[0].strip().lower()
    options: dict[str, Any] = dict(query)
    if not body:
        raise Refused(400, f"the body is empty: {_KINDS}")
    if kind == "application/json":
        content = _json(body)
        options |= {key: value for key, value in content.items() if key not in ("inputs", "images")}
        examples = _of_json(content, processor, settings)
    elif kind == "application/x-npy":
        examples = _of_array(_npy(body), processor, settings)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        examples = [_of_image(body, "the image", processor, settings)]
    else:
        raise Refused(415, f"content type {kind or 'none'} is not known: {_KINDS}")
    return Question(examples, _what(options), _given(options), bool(options.get("pictures")))


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON ({error})") from None
    if not isinstance(content, dict) or not {"inputs", "images"} & content.keys():
        raise Refused(
            400, 'the JSON must be an object with "inputs", numbers or texts, or "images" in base64'
        )
    return content


def _of_json(content: dict[str, Any], processor: Processor, settings: Settings) -> list[Example]:
    if "images" in content:
        images = content["images"]
        if not isinstance(images, list) or not all(isinstance(each, str) for each in images):
            raise Refused(422, '"images" must be a list of texts in base64')
        _check_rows(len(images), settings)
        return [
            _of_image(_bytes(text, number), f"image {number}", processor, settings)
            for number, text in enumerate(images)
        ]
    inputs = content["inputs"]
    if isinstance(processor, ImageProcessor):
        return _of_array(_numbers(inputs), processor, settings)
    if not isinstance(inputs, list) or not all(isinstance(each, str) for each in inputs):
        such = "12,50,181" if isinstance(processor, HistoryProcessor) else "a fine film"
        raise Refused(422, f'"inputs" must be a list of texts, such as ["{such}"]')
    _check_rows(len(inputs), settings)
    return [_of_text(text, number, processor) for number, text in enumerate(inputs)]


def _of_text(text: str, number: int, processor: Processor) -> Example:
    if not isinstance(processor, HistoryProcessor | TextProcessor):
        raise Refused(415, "this model takes no texts")
    try:  # not by `read`: the server's own files are none of the client's business
        return processor.from_text(text, f"input {number}")
    except (ValueError, csv.Error) as error:
        raise Refused(422, str(error)) from None


def _numbers(inputs: Any) -> np.ndarray:
    try:
        array = np.array(inputs)
    except ValueError:
        raise Refused(422, '"inputs" are lists of different lengths') from None
    if array.dtype.kind not in "uif":
        raise Refused(422, '"inputs" must be nested lists of numbers')
    return array


def _npy(body: bytes) -> np.ndarray:
    if not body.startswith(np.lib.format.MAGIC_PREFIX):  # NumPy would open archives and pickles too
        raise Refused(400, "the body is no array: send what numpy.save writes")
    try:
        return np.load(io.BytesIO(body), allow_pickle=False)
    except Exception as error:  # a header is Python's syntax, and may ask for any memory
        raise Refused(400, f"the body is no array ({error})") from None


def _of_array(array: np.ndarray, processor: Processor, settings: Settings) -> list[Example]:
    if not isinstance(processor, ImageProcessor):
        raise Refused(415, "this model takes no arrays: send application/json with texts")
    if array.dtype == np.int64:  # how JSON's whole numbers are read
        is_pixels = processor.transform.value_range is None and array.size
        fits = is_pixels and array.min() >= 0 and array.max() <= 255
        array = array.astype(np.uint8) if fits else array.astype(np.float32)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what is infinite is refused
            array = array.astype(np.float32)
    if array.ndim == len(processor.shape) + 1:
        _check_rows(len(array), settings)
    try:
        return list(processor.from_array(array, "the array"))
    except ValueError as error:
        raise Refused(422, str(error)) from None


def _of_image(body: bytes, name: str, processor: Processor, settings: Settings) -> Example:
    if not isinstance(processor, ImageProcessor):
        raise Refused(415, "this model takes no images: send application/json with texts")
    image = EncodedImage(name, body)
    try:
        with image.open() as opened:
            pixels = math.prod(opened.size)
        if pixels > settings.max_pixels:
            size = " x ".join(map(str, opened.size))
            raise Refused(
                413, f"{name} has {size} pixels, more than {settings.max_pixels}: send it smaller"
            )
        return processor.from_image(image)
    except UnidentifiedImageError:
        raise Refused(422, f"{name} is no image of a known kind") from None
    except UndecodableError as error:
        raise Refused(422, str(error)) from None
    except (OSError, ValueError, SyntaxError) as error:
        raise Refused(422, f"{name} cannot be decoded as an image ({error})") from None


def _bytes(text: str, number: int) -> bytes:
    try:
        return base64.b64decode(text.rpartition(",")[2], validate=True)  # a data: address has one
    except (binascii.Error, ValueError):
        raise Refused(422, f"image {number} is not in base64") from None


def _check_rows(count: int, settings: Settings) -> None:
    if not count:
        raise Refused(422, "there are no inputs: send at least one")
    if count > settings.max_rows:
        raise Refused(413, f"{count} inputs are more than {settings.max_rows}: send them in parts")


def _what(options: Mapping[str, Any]) -> tuple[str, ...]:
    what = options.get("what", ())
    words: Sequence[Any] = what.split(",") if isinstance(what, str) else what
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise Refused(422, '"what" must be a list of names')
    return tuple(word for word in words if word)


def _given(options: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name, (low, high) in _NUMBERS.items():
        if name not in options:
            continue
        try:
            value = float(options[name])
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not low <= value <= high:
            raise Refused(422, f"{name} {options[name]!r} must be a number from {low} to {high}")
        found[name] = value
    return found
