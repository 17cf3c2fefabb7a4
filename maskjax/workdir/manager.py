"""Orbax's checkpoint manager, told what it has no settings for."""

import contextlib
import importlib
import re
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint.checkpoint_managers import PreservationContext, PreservationPolicy

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


class DamagedCheckpointError(Exception):
    """A checkpoint that cannot be read, or whose content is not what was saved."""


@contextlib.contextmanager
def damage_named() -> Any:
    """Turn whatever reading broken files raises into one kind of error with one line of text."""
    try:
        yield
    except (DamagedCheckpointError, PermissionError, MemoryError, jax.errors.JaxRuntimeError):
        raise
    except Exception as error:
        first_line = re.split(r"\n|\. ", str(error).strip())[0][:200]
        raise DamagedCheckpointError(f"{type(error).__name__}: {first_line}") from error


def is_news(record: Any) -> bool:
    """Whether a warning of Orbax's is of something that was not asked for."""
    return not str(record.msg).startswith("Given directory is read only")


class Kept(PreservationPolicy):
    """Keep the steps that a function names."""

    def __init__(self, kept: Callable[[Sequence[int]], Set[int]]):
        self._kept = kept

    def should_preserve(
        self, checkpoints: Sequence[Any], *, context: PreservationContext
    ) -> Sequence[bool]:
        """Say so of each step that has a checkpoint, oldest first."""
        del context
        steps = [checkpoint.step for checkpoint in checkpoints]
        kept = self._kept(steps)
        return [step in kept for step in steps]


class Manager(ocp.CheckpointManager):
    """Orbax's manager, without its own question whether the run is preempted.

    It asks JAX with the step that it has just written in the background. JAX takes the last number
    that it was asked with for where the process is, and agrees on a stop from it, where perhaps no
    process ever arrives. `StopSignal` of training alone asks.
    """

    def reached_preemption(self, step: int) -> bool:
        """Say no: what is saved, and when, is decided outside."""
        del step
        return False
