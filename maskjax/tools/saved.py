"""A run opened from its folder, with its data or without."""

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging
from ml_collections import ConfigDict

from maskjax import data as data_layer
from maskjax import tasks
from maskjax import workdir as layout
from maskjax.config import load, of_run
from maskjax.tasks.task import Task
from maskjax.tools.startup import make_importable
from maskjax.training.run import load_state
from maskjax.training.state import TrainState
from maskjax.workdir.lines import read_metrics


class Saved(NamedTuple):
    """A finished or running run.

    Attributes:
        folder: the workdir.
        config: the run's.
        data: what it learned from; where that was not opened, what is known of it.
        task: what was learned.
        state: of a whole checkpoint, the best or the newest.
    """

    folder: Path
    config: Any
    data: Any
    task: Task
    state: TrainState


def open_saved(workdir: Path, *, source: str = "", needs_examples: bool, which: str = "") -> Saved:
    """Open a run; what its config file imports or registers is known afterwards.

    Args:
        workdir: the run's folder.
        source: where its data are, as `config.data.source`; "" where they were.
        needs_examples: False opens the data only where the run's config.json, of an old run, does
            not describe them, or `source` is given.
        which: of its states "best", "newest" or "", which is the best where the run watches a
            number.

    Raises:
        FileNotFoundError: no run, no checkpoint yet, or no data.
        ValueError: the data do not fit the run.
    """
    path = workdir / layout.CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{workdir} holds no run: give the --workdir of a training run")
    config, described, config_file = _read_config(path)
    problem = _know_what_is_of(config_file)
    try:
        if described and not source and not needs_examples:
            data = data_layer.restore(config.data, described)
        else:
            data = _open_data(config, described, source)
        task = tasks.build(config, data)
    except ValueError as error:
        if problem:
            error.add_note(problem)
        raise
    state = load_state(task, config, workdir, which)
    judged = [line for line in read_metrics(workdir) if line["split"] == "validation"]
    numbers = {line["step"]: line for line in judged}.get(int(state.step), {})
    plain, params = task.chosen(numbers).without_adapters(state.params)
    averages = state.ema_params and task.without_adapters(state.ema_params)[1]
    state = dataclasses.replace(state, params=params, ema_params=averages)
    return Saved(workdir, config, data, plain, state)


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


def described_run(path: Path) -> tuple[Any, Any]:
    """Read the config of a run, and what is known of its data, of which none is opened.

    Args:
        path: of the run's config.json, or of an export's model.json.

    Raises:
        ValueError: it cannot be read, or what its config file made known is gone.
    """
    config, described, config_file = _read_config(path)
    problem = _know_what_is_of(config_file)
    try:
        return config, data_layer.restore(config.data, described or {})
    except (ValueError, KeyError) as error:
        hint = f"; {problem}" if problem else ""
        raise ValueError(f"{path} does not describe its data ({error}){hint}") from None


def _read_config(path: Path) -> tuple[Any, dict[str, Any] | None, str]:
    """A run's config; what its data were, unless it is an old one; its config file or ""."""
    try:
        record = json.loads(path.read_text())
        config = of_run(_tuples(record["config"]))
        return config, record.get("data"), record.get("config_file", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): is this a training run?") from None


def _know_what_is_of(config_file: str) -> str:
    """Let a run use the modules beside its config file, and the sources that this registers.

    Returns:
        What is wrong with the file, "" where nothing is. Many a run needs nothing of it.
    """
    path = Path(config_file.partition(":")[0])
    make_importable(path.parent)
    if not config_file:  # an old run
        return ""
    if not path.is_file():
        return f"the run's config file {path} is gone: bring it back if it made this known"
    try:
        load(config_file)
    except Exception as error:  # whatever somebody's own file raises
        return f"the run's config file {path} cannot be loaded: {type(error).__name__}: {error}"
    return ""


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
