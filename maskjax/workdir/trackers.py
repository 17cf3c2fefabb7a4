"""Where a run's numbers go beside metrics.jsonl: chosen by name in `config.loggers`.

A tracker has `scalars`, `images` and `close`. What services keep, Weights & Biases or MLflow, may
fail without ending a run; what is written into the run's folder may not, for a full disk would end
it anyhow.
"""

import importlib.util
import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from absl import logging
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore

from maskjax.paths import where_offered
from maskjax.spelling import unknown_name
from maskjax.workdir.folder import CONFIG, note

_PROJECT = "maskjax"
_LONGEST = 500  # characters of a parameter's value, which every version of MLflow takes


class Start(NamedTuple):
    """What a tracker is told when a run begins or goes on.

    Attributes:
        folder: the workdir.
        config: the whole config, {dotted name: value}.
        step: steps done.
    """

    folder: Path
    config: Mapping[str, Any]
    step: int


@runtime_checkable
class Tracker(Protocol):
    """What a run's numbers and pictures are given to."""

    def scalars(self, numbers: Mapping[str, float | int], step: int) -> None:
        """Add numbers, by name."""

    def images(self, pixels: Mapping[str, np.ndarray], step: int) -> None:
        """Add pictures, uint8 [H, W, 3], by name."""

    def close(self) -> None:
        """Write what is pending."""


class Tensorboard:
    """Tensorboard events, on disk when a call returns.

    The thread that tensorboardX's SummaryWriter leaves writing to ends unseen where the disk is
    full, and whoever logs then waits for it for ever.
    """

    def __init__(self, start: Start):
        """Begin a file; tensorboard passes over what earlier files say of later steps."""
        self._writer = EventsWriter(str(start.folder / "events"))
        self._write(start.step + 1, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, numbers: Mapping[str, float | int], step: int) -> None:
        """See Tracker."""
        values = [summary.scalar(name, value).value[0] for name, value in numbers.items()]
        self._write(step, summary=summary.Summary(value=values))

    def images(self, pixels: Mapping[str, np.ndarray], step: int) -> None:
        """See Tracker."""
        for name, picture in pixels.items():
            self._write(step, summary=summary.image(name, picture, dataformats="HWC"))

    def close(self) -> None:
        """See Tracker."""
        with where_offered():
            self._writer.close()

    def _write(self, step: int, **content: Any) -> None:
        self._writer.write_event(Event(wall_time=time.time(), step=step, **content))
        with where_offered():  # it makes the file last, too
            self._writer.flush()


class Wandb:
    """Weights & Biases; its own environment variables (WANDB_MODE, WANDB_PROJECT ...) hold."""

    def __init__(self, start: Start):
        """Begin a run there, or go on with the one that the folder began."""
        import wandb  # pyright: ignore[reportMissingImports]

        self._make_image = wandb.Image
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            name=start.folder.name,
            dir=str(start.folder),
            id=_known_id(start.folder, "wandb", lambda: os.urandom(6).hex()),
            resume="allow",
            config=dict(start.config),
            allow_val_change=True,
            settings=wandb.Settings(console="off"),
        )

    def scalars(self, numbers: Mapping[str, float | int], step: int) -> None:
        """See Tracker."""
        self._run.log(dict(numbers), step=step)

    def images(self, pixels: Mapping[str, np.ndarray], step: int) -> None:
        """See Tracker."""
        self._run.log({name: self._make_image(x) for name, x in pixels.items()}, step=step)

    def close(self) -> None:
        """See Tracker."""
        self._run.finish()


class Mlflow:
    """MLflow, at MLFLOW_TRACKING_URI or else in a database within the run's folder."""

    def __init__(self, start: Start):
        """Begin a run there, or go on with the one that the folder began."""
        # A server that is gone holds training up for a minute, not for many.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        from mlflow import MlflowClient, entities  # pyright: ignore[reportMissingImports]

        self._metric = entities.Metric
        here = f"sqlite:///{start.folder.resolve() / 'mlflow.db'}"
        self._client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", here))
        self._id = _known_id(start.folder, "mlflow", lambda: self._create(start))
        self._client.update_run(self._id, status="RUNNING")

    def _create(self, start: Start) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
        found = self._client.get_experiment_by_name(name)
        place = (start.folder.resolve() / "mlflow").as_uri()
        where = found.experiment_id if found else self._client.create_experiment(name, place)
        run = self._client.create_run(where, run_name=start.folder.name).info.run_id
        for name, value in start.config.items():
            self._client.log_param(run, name, str(value)[:_LONGEST])
        return run

    def scalars(self, numbers: Mapping[str, float | int], step: int) -> None:
        """See Tracker."""
        now = int(1000 * time.time())
        named = {re.sub(r"[^\w\-./: ]", "_", name): x for name, x in numbers.items()}
        metrics = [self._metric(name, float(x), now, step) for name, x in named.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def images(self, pixels: Mapping[str, np.ndarray], step: int) -> None:
        """See Tracker."""
        for name, picture in pixels.items():
            self._client.log_image(self._id, picture, artifact_file=f"{name}-{step}.png")

    def close(self) -> None:
        """See Tracker."""
        self._client.set_terminated(self._id)


class _Guarded:
    """A tracker whose first failure is its last, and a warning."""

    def __init__(self, name: str, make: Callable[[], Tracker]):
        self._name = name
        self._tracker: Any = None
        self._tracker = self._try(make)

    def _try(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except Exception as error:  # whatever a service's own client raises
            reason = " ".join(str(error).split())
            logging.warning("%s gets no more of this run: %s", self._name, reason)
            self._tracker = None

    def scalars(self, numbers: Mapping[str, float | int], step: int) -> None:
        if self._tracker is not None:
            self._try(self._tracker.scalars, numbers, step)

    def images(self, pixels: Mapping[str, np.ndarray], step: int) -> None:
        if self._tracker is not None:
            self._try(self._tracker.images, pixels, step)

    def close(self) -> None:
        if self._tracker is not None:
            self._try(self._tracker.close)


_ELSEWHERE = {"wandb": Wandb, "mlflow": Mlflow}
NAMES = ("jsonl", "tensorboard", *_ELSEWHERE)


def check(names: Sequence[str]) -> None:
    """Refuse loggers that are unknown or not installed.

    Raises:
        ValueError: says which there are, or how one is installed.
    """
    if isinstance(names, str):
        raise ValueError(f"loggers is {names!r}: it must be a tuple of names, as ({names!r},)")
    for name in names:
        if name not in NAMES:
            raise ValueError(unknown_name("name in loggers", name, NAMES))
        if name in _ELSEWHERE and importlib.util.find_spec(name) is None:
            raise ValueError(
                f"loggers: {name} is not installed: pip install {name}, or leave it out"
            )


def make(names: Sequence[str], start: Start) -> list[Tracker]:
    """Begin, or go on, with the trackers of these names; metrics.jsonl is none of them."""
    trackers: list[Tracker] = [Tensorboard(start)] if "tensorboard" in names else []
    for name, kind in _ELSEWHERE.items():
        if name in names:
            trackers.append(_Guarded(name, lambda kind=kind: kind(start)))
    return trackers


def _known_id(folder: Path, name: str, create: Callable[[], str]) -> str:
    """Look up under which id a tracker knows the run of a folder, or have it create one."""
    path = folder / CONFIG
    record = json.loads(path.read_text()) if path.exists() else {}
    ids = record.get("tracked_as", {})
    if name not in ids:
        ids[name] = create()
        note(folder, {"tracked_as": ids})
    return ids[name]
