"""Checkpoints: saved in the background, checked when read, never trusted for being the newest."""

import contextlib
import json
import math
import re
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from flax import serialization
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from maskjax.masking.parameters import leaf_paths
from maskjax.typing import PyTree
from maskjax.workdir import manager
from maskjax.workdir.folder import write_atomically
from maskjax.workdir.leaves import named_leaves, with_leaves

_STATE, _CHECKSUMS = "state", "checksums"
_RETRY_SECONDS = 1.0


def _checksums(tree: PyTree) -> dict[str, int]:
    """CRC-32 of each array's bytes: Orbax restores one with flipped bits without complaint."""

    def checksum(array: Any) -> int:
        return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    return {name: checksum(array) for name, array in named_leaves(tree).items()}


class DamagedCheckpointError(Exception):
    """A checkpoint that cannot be read, or whose content is not what was saved."""


class Checkpoints(contextlib.AbstractContextManager):
    """The checkpoints of one run; on every way out of the context pending saves are finished.

    The newest ones are kept, and beside them the one that evaluation found best.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        keep: int = 1,
        best: tuple[str, str] = ("loss", "min"),
        read_only: bool = False,
    ):
        """Open a folder of checkpoints, or make it.

        Args:
            directory: the folder.
            keep: how many of the newest to keep, at least 1.
            best: the number of an evaluation that tells which is best, and "min" or "max".
            read_only: change nothing, also where another process saves there; evaluation metrics
                are not read.
        """
        self.directory = Path(directory).resolve()
        self._keep, self._read_only = keep, read_only
        self._manager: Any = None
        if not read_only:
            manager.do_without_where_refused(self.directory.parent)
        for step in [] if read_only else self._steps_with_unreadable_metrics():
            self._move_aside(step, "its metrics cannot be read")

        name, sign = best[0], 1 if best[1] == "min" else -1

        def badness(metrics: dict[str, Any]) -> float:
            value = metrics.get(name)
            return sign * value if value is not None and math.isfinite(value) else math.inf

        # Orbax warns of `read_only`, which is asked for here.
        logging.get_absl_logger().addFilter(manager.is_news)
        kept = BestN(
            get_metric_fn=badness, reverse=True, n=1, keep_checkpoints_without_metrics=False
        )
        self._manager = manager.Manager(
            self.directory,
            item_names=(_STATE, _CHECKSUMS),
            item_handlers={
                _STATE: ocp.StandardCheckpointHandler(),
                _CHECKSUMS: ocp.JsonCheckpointHandler(),
            },
            options=ocp.CheckpointManagerOptions(
                best_fn=badness,
                best_mode="min",
                preservation_policy=AnyPreservationPolicy([LatestN(keep), kept]),
                save_interval_steps=0,  # `save` decides
                create=not read_only,
                cleanup_tmp_directories=not read_only,
                read_only=read_only,
                lightweight_initialize=read_only,
            ),
        )

    def __exit__(self, *_: object) -> None:
        """Finish pending saves."""
        self._manager.close()

    @property
    def steps(self) -> list[int]:
        """Steps that have a checkpoint, oldest first."""
        return sorted(self._manager.all_steps())

    def metrics(self, step: int) -> dict[str, Any] | None:
        """Read the evaluation metrics that were saved with a step."""
        return self._manager.metrics(step)

    def save(self, step: int, state: PyTree) -> None:
        """Save a step in the background, unless it is there already.

        Args:
            step: number of steps done.
            state: pytree of arrays; may be donated as soon as this returns.
        """
        if step in self._manager.all_steps():
            return
        tree = serialization.to_state_dict(state)
        saved = {
            _STATE: ocp.args.StandardSave(tree), _CHECKSUMS: ocp.args.JsonSave(_checksums(tree))
        }  # fmt: skip
        self._manager.save(step, args=ocp.args.Composite(**saved), metrics={}, force=True)

    def add_metrics(self, step: int, metrics: dict[str, Any]) -> None:
        """Put its evaluation into a step that was saved, and keep the best accordingly.

        Args:
            step: which one.
            metrics: JSON values, among them the one that tells which step is best.
        """
        self.wait()
        if jax.process_index() == 0:
            path = self.directory / str(step) / "metrics" / "metrics"
            write_atomically(path, json.dumps(metrics))
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices(f"evaluated-{step}")
        self._manager.reload()
        kept = {*self.steps[-self._keep :], self._manager.best_step()}
        for old in sorted({*self.steps} - kept):
            self._manager.delete(old)

    def wait(self) -> None:
        """Wait until everything saved so far is on disk."""
        self._manager.wait_until_finished()

    def restore(self, state: PyTree) -> PyTree:
        """Read the newest whole checkpoint.

        Args:
            state: a state of the wanted structure, shapes, dtypes and placement.

        Returns:
            The restored state, or the given one where there is no whole checkpoint.

        Raises:
            ValueError: a checkpoint of another structure, shape or dtype.
        """
        found = self._newest_whole(lambda step: self.restore_step(step, state))
        return state if found is None else found

    def restore_step(self, step: int, state: PyTree) -> PyTree:
        """Read one checkpoint.

        Args:
            step: which one.
            state: a state of the wanted structure, shapes, dtypes and placement.

        Raises:
            DamagedCheckpointError: it is empty, incomplete or altered.
            ValueError: it is whole but of another structure, shape or dtype.
        """
        saved, ours = self._metadata(step), named_leaves(serialization.to_state_dict(state))
        _check_same_arrays(ours, named_leaves(saved), self.directory / str(step))
        # In the structure that was saved: empty parts of a state come and go.
        leaves = [
            jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
            for leaf in (ours[name] for name in leaf_paths(saved))
        ]
        placed = jax.tree.unflatten(jax.tree.structure(saved), leaves)
        return with_leaves(state, named_leaves(self._read(step, placed)))

    def restore_any(self, sharding: jax.sharding.Sharding) -> tuple[int, PyTree] | None:
        """Read the newest whole checkpoint, of whatever structure.

        Args:
            sharding: where every leaf goes.

        Returns:
            Its step and the state as nested dicts, or None where there is no whole checkpoint.
        """
        place = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)  # noqa: E731
        return self._newest_whole(
            lambda step: (step, self._read(step, jax.tree.map(place, self._metadata(step))))
        )

    def _newest_whole(self, read: Callable[[int], Any]) -> Any:
        """What `read` makes of the newest step that is whole; None where there is none.

        One that cannot be read is read once more after a second, for file servers have their
        moments. A damaged one is named in a warning and, unless this is read-only, moved aside, so
        that its step can be saved again.
        """
        for step in reversed(self.steps):
            with contextlib.suppress(DamagedCheckpointError):
                return read(step)
            time.sleep(_RETRY_SECONDS)
            try:
                return read(step)
            except DamagedCheckpointError as error:
                self._move_aside(step, str(error))
        return None

    def _metadata(self, step: int) -> PyTree:
        """Shapes and dtypes of a saved state, as nested dicts."""
        with _damage_named():
            saved = self._manager.item_metadata(step)[_STATE]
            if saved is None:
                raise DamagedCheckpointError("it holds no state")
            return saved.tree

    def _read(self, step: int, placed: PyTree) -> PyTree:
        """Read a saved state, as nested dicts, and compare its checksums."""
        wanted = {_STATE: ocp.args.StandardRestore(placed), _CHECKSUMS: ocp.args.JsonRestore()}
        with _damage_named():
            restored = self._manager.restore(step, args=ocp.args.Composite(**wanted))
            found, expected = _checksums(restored[_STATE]), restored[_CHECKSUMS]
            altered = [name for name in found if found[name] != expected.get(name)]
        if altered:
            raise DamagedCheckpointError(f"{altered[0]} is not what was saved")
        return restored[_STATE]

    def _steps_with_unreadable_metrics(self) -> list[int]:
        """Steps whose metrics are no JSON; Orbax could not even list a folder that has one."""
        unreadable = []
        for path in self.directory.glob("*/metrics/metrics"):
            try:
                json.loads(path.read_text())
            except ValueError:
                step = path.parents[1].name
                unreadable += [int(step)] if step.isdecimal() else []
        return sorted(unreadable)

    def _move_aside(self, step: int, reason: str) -> None:
        """Rename a step's folder so that it no longer counts as a checkpoint, and say so."""
        if self._read_only:
            logging.warning("Checkpoint %s is damaged (%s).", self.directory / str(step), reason)
            return
        names = (f"damaged-{step}" + "-again" * n for n in range(1000))
        aside = next(path for name in names if not (path := self.directory / name).exists())
        logging.warning(
            "Checkpoint %s is damaged (%s): moved it to %s, an older one is used instead.",
            self.directory / str(step), reason, aside.name,
        )  # fmt: skip
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices(f"named-{aside.name}")
        if jax.process_index() == 0:
            (self.directory / str(step)).rename(aside)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices(f"moved-{aside.name}")
        if self._manager is not None:
            self._manager.reload()


@contextlib.contextmanager
def _damage_named() -> Any:
    """Turn whatever reading broken files raises into one kind of error with one line of text."""
    try:
        yield
    except (DamagedCheckpointError, PermissionError, MemoryError, jax.errors.JaxRuntimeError):
        raise
    except Exception as error:
        first_line = re.split(r"\n|\. ", str(error).strip())[0][:200]
        raise DamagedCheckpointError(f"{type(error).__name__}: {first_line}") from error


def _check_same_arrays(ours: Mapping[str, Any], theirs: Mapping[str, Any], place: Path) -> None:
    """Compare names, shapes and dtypes, because Orbax would cast and pad in silence."""
    missing, extra = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    if missing or extra:
        raise ValueError(
            f"checkpoint {place} is of another model or optimizer: "
            f"it lacks {missing[:3] or 'nothing'} and has {extra[:3] or 'nothing'} besides"
        )
    for name, new in ours.items():
        old = theirs[name]
        if tuple(old.shape) != tuple(new.shape) or jnp.dtype(old.dtype) != jnp.dtype(new.dtype):
            raise ValueError(
                f"checkpoint {place} has {name} as {jnp.dtype(old.dtype)}{list(old.shape)}, "
                f"but this config makes it {jnp.dtype(new.dtype)}{list(new.shape)}"
            )
