"""The training loop: from a config to a summary."""

from pathlib import Path
from typing import Any

import jax

from maskjax import data as data_layer
from maskjax import tasks, workdir
from maskjax.config import check_ranges, complete
from maskjax.data.prefetch import Prefetcher
from maskjax.evaluation import probes
from maskjax.tasks.task import Task
from maskjax.training import hooks, init_from, schedule
from maskjax.training.run import Run, open_run
from maskjax.training.state import TrainState
from maskjax.workdir import trackers
from maskjax.workdir.leaves import params_sha256
from maskjax.workdir.lines import NO_NUMBERS, grad_norm_spikes, read_metrics
from maskjax.workdir.masks import (
    ARTEFACT,
    by_layer,
    sparsities,
    without_layers,
    write_arrays,
    write_masks,
)
from maskjax.workdir.tables import nested, read_tables
from maskjax.workdir.throughput import peak_host_memory


def train(config: Any, directory: str | Path, config_file: str = "") -> dict[str, Any]:
    """Train what a config says, or go on with it, or look up how it ended.

    Args:
        config: the whole config (see configs/).
        directory: the run's folder; one that holds a part of this very run is resumed.
        config_file: the file that the config is from, with its variant; "" where there is none.

    Returns:
        The content of summary.json.

    Raises:
        ValueError: the config does not fit itself, the data, the devices or the folder.
        FileNotFoundError: data that the config names is not there.
        FloatingPointError: too many steps in a row were not finite.
        Preempted: the run was told to stop; its state is saved.
    """
    config, folder, finished = _look_up(config, directory)
    if finished is not None and not workdir.names_other_places(config, folder):
        return finished
    data = _open_data(config, folder)
    if finished is not None:
        return finished
    return fit(tasks.build(config, data), data, config, folder, config_file)


def prepare(config: Any, directory: str | Path) -> tuple[Any, Path, Any, Task]:
    """Check a config and a folder, open the data and make the task; raises as `train`.

    Returns:
        The config with all keys, the folder, which need not exist, the data and the task.
    """
    config, folder, _ = _look_up(config, directory)
    data = _open_data(config, folder)
    return config, folder, data, tasks.build(config, data)


def _look_up(config: Any, directory: str | Path) -> tuple[Any, Path, dict[str, Any] | None]:
    """Check a config; find its folder, and the summary where the run is finished."""
    config = complete(config)
    check_ranges(config)
    schedule.check_rates(config)
    trackers.check(config.loggers)
    probes.chosen(config.eval.probes)
    init_from.check(config.init_from)
    folder = workdir.check(config, directory)
    return config, folder, workdir.read_summary(folder)


def _open_data(config: Any, folder: Path) -> Any:
    """Open the data and make sure that the folder's run was on the same."""
    data = data_layer.build(
        config.data,
        seed=config.seed,
        batch_size=config.batch_size,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        is_compact=True,
    )
    workdir.check(config, folder, data.describe())
    return data


def fit(task: Any, data: Any, config: Any, folder: Path, config_file: str = "") -> dict[str, Any]:
    """Train a task on data in a folder that was checked; returns and raises as `train`."""
    with open_run(task, data, config, folder, config_file) as (run, state):
        step = int(state.step)
        with (
            hooks.advising(run),
            Prefetcher(
                run.feed.train_batches(step),
                run.spread.split,
                is_interrupted=lambda: run.stop.received,
            ) as batches,
        ):
            state = hooks.catch_up(run, step, state)
            run.meter.restart()
            while step < run.end.step:
                with hooks.saving(run, step, state):
                    batch = hooks.next_batch(run, step, state, batches)
                state, metrics = run.program(state, batch)
                step += 1
                with hooks.saving(run, step, state):
                    state = hooks.call(hooks.AFTER_STEP, run, step, state, metrics)
        summary = summarise(run, state)
    if jax.process_index() == 0:
        if state.param_masks:
            write_masks(folder, state.param_masks.masks)
        judged = run.end.judged or state
        if kept := task.artefact(jax.device_get(judged.eval_params)):
            summary["artefact_bytes"] = write_arrays(folder / ARTEFACT, kept)
        workdir.write_summary(folder, summary)
    return summary


def summarise(run: Run, state: TrainState) -> dict[str, Any]:
    """Gather the end of a run: the last of every number, and a hash of the parameters.

    Where the run watches a number, validation and test are those of the best state. A number of the
    validation that training reports too, as the loss, is named "validation_...", and every number
    of the test "test_...". So are tables, but for matrices, which are drawn.
    """
    best, chosen = _best(run), dict(run.log.last)
    if best:
        chosen["validation"] = run.log.evaluated[best["best_step"]]
    lines = {
        split: {name: x for name, x in line.items() if name not in NO_NUMBERS}
        for split, line in chosen.items()
    }
    for split, found in read_tables(run.folder, chosen).items():
        lines[split] |= {name: nested(x) for name, x in found.items() if not x.is_matrix}
    trained, validated = without_layers(lines.get("train", {})), lines.get("validation", {})
    named = {f"validation_{name}" if name in trained else name: x for name, x in validated.items()}
    named |= {f"test_{name}": x for name, x in lines.get("test", {}).items()}
    if state.param_masks:
        trained |= by_layer(sparsities(state.param_masks.masks))
    figures = sorted((run.folder / workdir.FIGURES).glob("*.png"))
    return {
        "steps": int(state.step),
        **({"ended": run.end.reason} if run.end.reason else {}),
        **best,
        "params_sha256": params_sha256(state.params),
        "seconds": round(run.log.seconds, 3),
        "compile_seconds": run.program.compile_seconds,
        "peak_host_memory_bytes": peak_host_memory(),
        **trained,
        **named,
        "grad_norm_spikes": grad_norm_spikes(read_metrics(run.folder)),
        "skipped_files": run.data.num_skipped,
        "figures": [str(path.relative_to(run.folder)) for path in figures],
    }


def _best(run: Run) -> dict[str, Any]:
    """Say which state was judged, where the run watches a number; a value of None is no number."""
    metric, judged = run.config.stop.metric, run.end.judged
    if not metric or judged is None:
        return {}
    step = int(judged.step)
    return {
        "best_step": step,
        "best_metric": metric,
        "best_value": run.log.evaluated[step][metric],
        "best_params_sha256": params_sha256(judged.params),
    }
