"""Checkpoints: saved in the background, checked when read, never trusted for being the newest."""

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging
from flax import serialization
from jax.experimental import multihost_utils

from maskjax.masking.parameters import leaf_paths
from maskjax.typing import PyTree
from maskjax.workdir import manager
from maskjax.workdir.best import Best
from maskjax.workdir.folder import write_atomically
from maskjax.workdir.leaves import check_same, checksums, named_leaves, with_leaves
from maskjax.workdir.manager import DamagedCheckpointError

_STATE, _CHECKSUMS = "state", "checksums"
_RETRY_SECONDS = 1.0
# Leaves that a checkpoint may have or lack: a resumed run may watch what it did not before.
_MAY_LACK = "watches/stop/"


class Checkpoints(contextlib.AbstractContextManager):
    """The checkpoints of one run; on every way out of the context pending saves are finished.

    The newest ones are kept, and beside them the best of those that were evaluated.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        keep: int = 1,
        best: Best | None = None,
        read_only: bool = False,
    ):
        """Open a folder of checkpoints, or make it.

        Args:
            directory: the folder.
            keep: how many of the newest to keep, at least 1.
            best: tells which is best; by default the loss.
            read_only: change nothing, also where another process saves there.
        """
        self.directory = Path(directory).resolve()
        self._keep, self._best, self._read_only = keep, best or Best(), read_only
        self._manager: Any = None
        if not read_only:
            manager.do_without_where_refused(self.directory.parent)
        for step in [] if read_only else self._steps_with_unreadable_metrics():
            self._move_aside(step, "its metrics cannot be read")

        # Orbax warns of `read_only`, which is asked for here.
        logging.get_absl_logger().addFilter(manager.is_news)
        self._manager = manager.Manager(
            self.directory,
            item_names=(_STATE, _CHECKSUMS),
            item_handlers={
                _STATE: ocp.StandardCheckpointHandler(),
                _CHECKSUMS: ocp.JsonCheckpointHandler(),
            },
            options=ocp.CheckpointManagerOptions(
                best_fn=lambda metrics: 0.0,  # so that there are metrics; `Best` compares them
                preservation_policy=manager.Kept(self._kept),
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

    def metrics(self, step: int) -> dict[str, Any]:
        """Read the evaluation metrics that were saved with a step; {} where there are none."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._metrics_file(step).read_text())
            return found if isinstance(found, dict) else {}
        return {}

    def chosen(self, which: str) -> list[int]:
        """List steps in the order in which they are wanted.

        Args:
            which: "newest"; "best", by their evaluations, without those that have none; or "", the
                best where the run watches a number that an evaluation gave, else the newest.
        """
        newest = self.steps[::-1]
        best = self._ranked(newest)
        is_best = which == "best" or (not which and self._best.is_watched and best)
        return best if is_best else newest

    def _ranked(self, steps: Sequence[int]) -> list[int]:
        return self._best.order({step: self.metrics(step) for step in steps})

    def nothing(self, which: str) -> str:
        """Say that no checkpoint could be read of those that are wanted; see `chosen`."""
        if which == "best" or (not which and self._best.is_watched and self.steps):
            return (
                f"{self.directory} has no whole checkpoint that was evaluated for "
                f'{self._best.metric!r}: ask for the state "newest"'
            )
        return f"{self.directory} has no whole checkpoint yet"

    def _metrics_file(self, step: int) -> Path:
        return self.directory / str(step) / "metrics" / "metrics"

    def _kept(self, steps: Sequence[int]) -> set[int]:
        return {*sorted(steps)[-self._keep :], *self._ranked(steps)[:1]}

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
            _STATE: ocp.args.StandardSave(tree), _CHECKSUMS: ocp.args.JsonSave(checksums(tree))
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
            write_atomically(self._metrics_file(step), json.dumps(metrics))
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices(f"evaluated-{step}")
        self._manager.reload()
        for old in sorted({*self.steps} - self._kept(self.steps)):
            self._manager.delete(old)

    def wait(self) -> None:
        """Wait until everything saved so far is on disk."""
        self._manager.wait_until_finished()

    def restore(self, state: PyTree, which: str = "newest") -> PyTree:
        """Read the first whole checkpoint of those that are wanted.

        Args:
            state: a state of the wanted structure, shapes, dtypes and placement.
            which: see `chosen`.

        Returns:
            The restored state, or the given one where there is no whole checkpoint.

        Raises:
            ValueError: a checkpoint of another structure, shape or dtype.
        """
        found = self._first_whole(which, lambda step: self.restore_step(step, state))
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
        theirs = named_leaves(saved)
        one_sided = {name for name in ours.keys() ^ theirs.keys() if name.startswith(_MAY_LACK)}
        mine, others = (
            {k: x for k, x in each.items() if k not in one_sided} for each in (ours, theirs)
        )
        check_same(mine, others, self.directory / str(step))
        # In the structure that was saved: empty parts of a state come and go.
        spare = next(iter(ours.values()))
        placed = {
            name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=ours.get(name, spare).sharding)
            for name, x in theirs.items()
        }
        leaves = [placed[name] for name in leaf_paths(saved)]
        read = self._read(step, jax.tree.unflatten(jax.tree.structure(saved), leaves))
        return with_leaves(state, ours | named_leaves(read))

    def restore_any(
        self, sharding: jax.sharding.Sharding, which: str = "newest"
    ) -> tuple[int, PyTree] | None:
        """Read the first whole checkpoint of those that are wanted, of whatever structure.

        Args:
            sharding: where every leaf goes.
            which: see `chosen`.

        Returns:
            Its step and the state as nested dicts, or None where there is no whole checkpoint.
        """
        place = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)  # noqa: E731
        return self._first_whole(
            which, lambda step: (step, self._read(step, jax.tree.map(place, self._metadata(step))))
        )

    def _first_whole(self, which: str, read: Callable[[int], Any]) -> Any:
        """What `read` makes of the first wanted step that is whole; None where there is none.

        One that cannot be read is read once more after a second, for file servers have their
        moments. A damaged one is named in a warning and, unless this is read-only, moved aside, so
        that its step can be saved again.
        """
        for step in self.chosen(which):
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
        with manager.damage_named():
            saved = self._manager.item_metadata(step)[_STATE]
            if saved is None:
                raise DamagedCheckpointError("it holds no state")
            return saved.tree

    def _read(self, step: int, placed: PyTree) -> PyTree:
        """Read a saved state, as nested dicts, and compare its checksums."""
        wanted = {_STATE: ocp.args.StandardRestore(placed), _CHECKSUMS: ocp.args.JsonRestore()}
        with manager.damage_named():
            restored = self._manager.restore(step, args=ocp.args.Composite(**wanted))
            found, expected = checksums(restored[_STATE]), restored[_CHECKSUMS]
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
            "Checkpoint %s is damaged (%s): moved it to %s, another is used instead.",
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
