"""All that a run would do, up to its first step."""

import math
from pathlib import Path
from typing import Any

import jax
import numpy as np

from maskjax import workdir
from maskjax.tasks.task import Task
from maskjax.training import init_from, parallel
from maskjax.training.loop import prepare
from maskjax.training.run import checked_update, initial_state, make_step, spread_of
from maskjax.training.state import TrainState
from maskjax.training.step import eval_context
from maskjax.training.update import Update
from maskjax.typing import Batch, PyTree
from maskjax.workdir.checkpoint import Checkpoints
from maskjax.workdir.plan import first_lines


def dry_run(config: Any, directory: str | Path) -> list[str]:
    """Check a config, read its data, compile its step and say what the run would do.

    Nothing is trained and nothing is written, but to the cache of compiled programs.

    Args:
        config: the whole config.
        directory: the run's folder.

    Returns:
        Lines.

    Raises:
        ValueError: as training would.
        FileNotFoundError: data, or a run, that the config names is not there.
    """
    config, folder, data, task = prepare(config, directory)
    spread = spread_of(task, config, data)
    update = checked_update(task, config)
    begins = _where(task, data, folder, config, spread, update)
    state = jax.eval_shape(lambda: initial_state(task, config, update))
    sizes = (spread.num_devices, state.params, update.trainable(state.params))
    lines = first_lines(task, data, config, folder, *sizes, update.masks)
    if config.total_steps:
        feed = _feed(task, data, config, state)
        step = make_step(task, config, spread.axis_name, feed.on_device, update)
        program = spread.program(step, donate=True)
        lines.append(_memory_line(program, state, spread.shapes(_first_batch(feed))))
    return [*lines, begins]


def _first_batch(data: Any) -> Batch:
    batches = data.train_batches(0)
    try:
        return next(batches)
    finally:
        batches.close()


def _feed(task: Task, data: Any, config: Any, state: TrainState) -> Any:
    """What training batches are taken from: of what is computed once, zeros of its shape."""
    if not task.once or data.processor.is_random:
        return data
    batch = _first_batch(data)
    index = np.arange(len(batch["is_valid"]), dtype=np.int32)

    def rows(params: PyTree, batch: Batch) -> Any:
        context = eval_context(config, batch, state.memory)
        return task.outputs()[task.once](params, data.on_device(batch), context)

    shape = jax.eval_shape(rows, state.params, dict(batch, index=index)).shape[1:]
    one = {name: batch[name][:1] for name in ("label", "target") if name in batch}
    one[task.once] = np.zeros((1, *shape), np.float32)
    rows_of = {name: np.broadcast_to(x, (data.num_train, *x.shape[1:])) for name, x in one.items()}
    return data.with_rows(rows_of, np.ones(data.num_train, bool))


def _where(
    task: Task, data: Any, folder: Path, config: Any, spread: parallel.Spread, update: Update
) -> str:
    """Say where the run would begin; another run that it starts from is read, as by training."""
    if workdir.read_summary(folder) is not None:
        return "the run is finished: the same command without --dry_run prints its result"
    saved = folder / workdir.CHECKPOINTS
    if saved.is_dir():
        with Checkpoints(saved, read_only=True) as checkpoints:
            for step in checkpoints.steps[-1:]:
                return f"the run would go on from step {step}"
    if not config.init_from.path:
        return "the run would begin from scratch"
    fresh = spread.replicate(initial_state(task, config, update))
    _, _, line = init_from.start(fresh, config, update.schedule, task, data.describe())
    return f"the run {line}"


def _memory_line(program: parallel.Program, state: TrainState, batch: PyTree) -> str:
    """Compile a step and say what memory it takes on each device.

    Args:
        program: the step.
        state: its shapes.
        batch: the shapes of what `Spread.split` makes of a batch.
    """
    found = program.compile_for(state, batch).memory_analysis()
    if found is None:
        return "memory of a step: this backend does not say"
    kept = {
        "parameters": state.params,
        "optimizer": state.opt_state,
        "averages": state.ema_params,
        "memory of the task": state.memory,
    }
    parts = {name: _bytes(tree) for name, tree in kept.items()}
    parts["batch"] = max(0, found.argument_size_in_bytes - _bytes(state))
    parts["activations and gradients"] = found.temp_size_in_bytes
    total = found.argument_size_in_bytes + found.temp_size_in_bytes
    total += found.output_size_in_bytes - found.alias_size_in_bytes
    listed = ", ".join(f"{name} {_shown(number)}" for name, number in parts.items() if number)
    return f"memory of a step on each device: {_shown(total)} ({listed})"


def _bytes(tree: PyTree) -> int:
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def _shown(number: int) -> str:
    unit, name = (1e9, "GB") if number >= 1e9 else (1e6, "MB") if number >= 1e6 else (1e3, "kB")
    return f"{number / unit:.1f} {name}"
