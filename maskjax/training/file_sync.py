"""Checkpoints on file systems that offer no way to make a file last (fsync)."""

import importlib
from pathlib import Path

from absl import logging

from maskjax.paths import can_sync

# Orbax hands these to TensorStore and has no setting for what stands in them.
_CONTEXTS = "orbax.checkpoint._src.serialization.tensorstore_utils"
_NAMES = ("_BASE_TS_CONTEXT", "_DEFAULT_OCDBT_TS_CONTEXT")


def do_without_where_refused(folder: Path) -> None:
    """Have checkpoints of this process written without fsync if a folder's file system has none.

    Where another version of Orbax keeps its contexts elsewhere, nothing changes, and a save ends in
    an error that names the call.

    Args:
        folder: where checkpoints will be; it and those above are made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if can_sync(folder):
        return
    logging.warning("%s: its file system offers no fsync; a power failure may cost files", folder)
    try:
        module = importlib.import_module(_CONTEXTS)
        for name in _NAMES:
            getattr(module, name)["file_io_sync"] = False
    except (ImportError, AttributeError) as error:
        logging.warning("Checkpoints are still written with fsync (%s)", error)
