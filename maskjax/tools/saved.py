"""A run opened from its folder, with its data or without."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging
from ml_collections import ConfigDict

from maskjax import data as data_layer
from maskjax import tasks
from maskjax.config import of_run
from maskjax.tasks.task import Task
from maskjax.training import workdir as layout
from maskjax.training.run import load_state
from maskjax.training.state import TrainState


class Saved(NamedTuple):
    """A finished or running run.

    Attributes:
        folder: the workdir.
        config: the run's.
        data: what it learned from; where that was not opened, what is known of it.
        task: what was learned.
        state: the newest whole checkpoint.
    """

    folder: Path
    config: Any
    data: Any
    task: Task
    state: TrainState


def open_saved(workdir: Path, *, source: str = "", needs_examples: bool) -> Saved:
    """Open a run.

    Args:
        workdir: the run's folder.
        source: where its data are, as `config.data.source`; "" where they were.
        needs_examples: False opens the data only where the run's config.json, of an old run, does
            not describe them, or `source` is given.

    Raises:
        FileNotFoundError: no run, no checkpoint yet, or no data.
        ValueError: the data do not fit the run.
    """
    config, described = _read_config(workdir)
    if described and not source and not needs_examples:
        data = data_layer.restore(config.data, described)
    else:
        data = _open_data(config, described, source)
    task = tasks.build(config, data)
    return Saved(workdir, config, data, task, load_state(task, config, workdir))


def writable(folder: Path, flag: str) -> Path:
    """Make a folder and find out whether files can be written there, before computing any.

    Args:
        folder: the folder.
        flag: by which the user gives another.

    Raises:
        ValueError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise ValueError(
            f"{folder} cannot be written ({error.strerror}): give a folder of your own, {flag}=..."
        ) from None


def _read_config(workdir: Path) -> tuple[Any, dict[str, Any] | None]:
    """A run's config and, unless the run is an old one, what its data were."""
    path = workdir / layout.CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{workdir} holds no run: give the --workdir of a training run")
    try:
        record = json.loads(path.read_text())
        return of_run(_tuples(record["config"])), record.get("data")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): is this a training run?") from None


def _tuples(tree: Any) -> Any:
    """Turn lists, which JSON makes of tuples, back into tuples."""
    if isinstance(tree, Mapping):
        return {key: _tuples(value) for key, value in tree.items()}
    return tuple(map(_tuples, tree)) if isinstance(tree, list) else tree


def _open_data(config: Any, described: Mapping[str, Any] | None, source: str) -> Any:
    """Open a run's data where they are now, with the run's mean and standard deviation.

    What stands for 0 and 1 is looked for in what lies there; it is the same for the same data. A
    new place gives the examples of the other splits too.
    """
    settings = ConfigDict(config.data.to_dict())
    described = data_layer.renewed(described or {})
    if source:
        settings.update(source=source, validation_source="", test_source="")
    settings.update({key: described[key] for key in ("mean", "std") if key in described})
    try:
        data = data_layer.build(settings, seed=config.seed, batch_size=1)
    except FileNotFoundError as error:
        hint = "" if source else "; if the data are elsewhere now, say where: --data=..."
        raise FileNotFoundError(f"{error}{hint}") from None
    if "shape" in described and list(data.shape) != described["shape"]:
        raise ValueError(
            f"{settings.source} has examples of shape {data.shape}, and the run's were of shape "
            f"{tuple(described['shape'])}: give data of the same shape as --data"
        )
    if described and data.describe()["fingerprints"] != described["fingerprints"]:
        logging.warning("%s holds other data than those of the run", settings.source)
    return data
