"""Numbers that a study finds in finished runs by what stands beside them: a baseline, a start."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from maskjax import workdir
from maskjax.tools.study import RUNS, Study, StudyRun
from maskjax.workdir.best import Best
from maskjax.workdir.checkpoint import Checkpoints
from maskjax.workdir.leaves import named_leaves
from maskjax.workdir.lines import first_reach

# Compared with the baseline of the same seed, and its number of the first metric at its end: when
# it was first as good.
REACHES = {"steps_to_baseline": "step", "seconds_to_baseline": "seconds"}
STORED = "stored_bytes"  # what a run has to keep beside the run that it began with
DERIVED = (*REACHES, STORED)


def with_derived(
    study: Study, runs: Sequence[StudyRun], done: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """Add to the numbers of finished runs what the study compares beside what they measured.

    Args:
        study: whose metrics are read.
        runs: all runs.
        done: the numbers of those that are finished, by name and split.
        folder: of the study.

    Returns:
        The numbers with those of `DERIVED` that are compared, among those of validation. A run that
        was never as good as its baseline has no number that is finite; one that began with no
        other, or whose weights or those it began with are gone, has no `STORED`.
    """
    found = dict(done)
    for run in runs:
        if run.name in done:
            mine = _reaches(study, run, done, folder) if {*study.metrics} & {*REACHES} else {}
            before = study.before(run, folder) if STORED in study.metrics else ()
            if before:
                size = _stored(folder / RUNS / before[-1].name, folder / RUNS / run.name)
                mine |= {} if size is None else {STORED: size}
            validation = {**done[run.name].get("validation", {}), **mine}
            found[run.name] = (
                {**done[run.name], "validation": validation} if mine else done[run.name]
            )
    return found


def _reaches(study: Study, run: StudyRun, done: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """When a run was first as good as its baseline is at the end; a baseline, as itself."""
    metric, direction = next(iter(study.metrics.items()))
    name = run.setting.name
    other = done.get(f"{study.baselines.get(name, name)},seed={run.seed}", {})
    value = other.get("validation", {}).get(metric)
    if value is None:
        return {}
    line = first_reach(folder / RUNS / run.name, metric, value, direction)
    return {each: line and line[key] for each, key in REACHES.items()}


def _stored(before: Path, after: Path) -> int | None:
    """The bytes of what a run has to keep beside another: its artefact, if its task says so."""
    if size := (workdir.read_summary(after) or {}).get("artefact_bytes"):
        return size
    old, new = _weights(before), _weights(after)
    return None if old is None or new is None else stored_bytes(old, new)


def _weights(folder: Path) -> dict[str, Any] | None:
    """The weights of a run's judged state, or their averages; None where they are gone."""
    saved = folder / workdir.CHECKPOINTS
    if not saved.is_dir():
        return None
    with Checkpoints(saved, read_only=True, best=Best.of_run(folder)) as checkpoints:
        found = checkpoints.restore_any(SingleDeviceSharding(jax.devices()[0]), "")
    return found and named_leaves(found[1].get("ema_params") or found[1]["params"])


def stored_bytes(before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    """Count what must be kept of weights, where those that they began with are at hand.

    Of each leaf the least of: nothing, where it is the same; a bit a weight, where each is the same
    or zero; a bit a weight and those that changed, or those that are not zero; all of it.

    Args:
        before: weights by path.
        after: weights by path; of other shapes, or of paths that were not there, nothing is known.

    Returns:
        Bytes, each leaf's bits filled up to whole ones; without paths and shapes.

    Example:
        >>> before = {"a": np.arange(16.0), "b": np.arange(16.0)}
        >>> stored_bytes(before, {"a": before["a"] * (before["a"] < 9), "b": before["b"] + 1})
        130
    """
    return sum(_leaf_bytes(before.get(path), np.asarray(leaf)) for path, leaf in after.items())


def _leaf_bytes(before: Any, after: np.ndarray) -> int:
    is_known = before is not None and np.shape(before) == after.shape
    is_new = np.asarray(before) != after if is_known else np.ones(after.shape, bool)
    if not is_new.any():
        return 0
    bits, changed, kept = -(-after.size // 8), np.sum(is_new), np.count_nonzero(after)
    if is_known and not after[is_new].any():
        return bits
    return min(after.nbytes, bits + int(min(changed, kept)) * after.itemsize)
