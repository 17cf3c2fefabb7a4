"""Data: sources with random access, transforms, and batches that are functions of (seed, step)."""

from maskjax.data import arrays, folder, generated, tfds, vectors
from maskjax.data.arrays import ArraySource
from maskjax.data.build import Data, build
from maskjax.data.images import EncodedImage, UndecodableError
from maskjax.data.normaliser import Normaliser
from maskjax.data.settings import Settings
from maskjax.data.sources import SOURCES, Record, Source, Splits, register

# Imported because importing them registers their sources.
_MODULES = (arrays, folder, generated, tfds, vectors)

__all__ = [
    "SOURCES", "ArraySource", "Data", "EncodedImage", "Normaliser",
    "Record", "Settings", "Source", "Splits", "UndecodableError", "build", "register",
]  # fmt: skip
