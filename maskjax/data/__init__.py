"""Data: sources with random access, processors, and batches that are functions of (seed, step)."""

from maskjax.data import history, image, text
from maskjax.data.build import Data, Described, build, renewed, restore, settings_of
from maskjax.data.image.arrays import ArraySource
from maskjax.data.image.files import EncodedImage
from maskjax.data.image.processor import ImageProcessor
from maskjax.data.image.settings import ImageSettings
from maskjax.data.processor import Example, Processor, Record, UndecodableError, batch_of, stack
from maskjax.data.settings import Settings
from maskjax.data.sources import (
    MODALITIES,
    SOURCES,
    Modality,
    Sample,
    Source,
    Splits,
    register,
)  # fmt: skip

# Imported because importing them registers their sources.
_MODALITIES = (history, image, text)

__all__ = [
    "MODALITIES", "SOURCES", "ArraySource", "Data", "Described", "EncodedImage", "Example",
    "ImageProcessor", "ImageSettings", "Modality", "Processor", "Record", "Sample", "Settings",
    "Source", "Splits", "UndecodableError", "batch_of", "build", "register", "renewed", "restore",
    "settings_of", "stack",
]  # fmt: skip

_RENAMED = {"Normaliser": "ImageProcessor, in data.processor"}


def __getattr__(name: str):
    if name in _RENAMED:
        raise AttributeError(f"maskjax.data.{name} is now maskjax.data.{_RENAMED[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
