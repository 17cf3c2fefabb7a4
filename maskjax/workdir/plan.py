"""What a run is about to do, in words."""

import math
import operator
from pathlib import Path
from typing import Any

import jax

from maskjax.masking.parameters import Engine
from maskjax.tasks.task import Task
from maskjax.typing import PyTree


def first_lines(
    task: Task,
    data: Any,
    config: Any,
    folder: Path,
    num_devices: int,
    params: PyTree,
    trained: PyTree,
    masks: Engine | None,
) -> list[str]:
    """Say what a run is about to do.

    Args:
        task: what is learned.
        data: what it is learned from.
        config: the whole config.
        folder: the workdir.
        num_devices: that share a step.
        params: the parameters, or their shapes.
        trained: those that are not frozen.
        masks: of the parameters; None where there are none.

    Returns:
        Lines: the task and its data, the model's size, what masks hide of it, how much a step
        sees, and where it runs and writes.
    """
    device = jax.devices()[0].device_kind
    loggers = ", ".join(dict.fromkeys(["jsonl", *config.loggers]))
    return [
        f"task {config.task} on {config.data.source}: {data.in_words}",
        _size(params, trained),
        *([f"param_masks {config.param_masks.method}: {hidden(params, masks)}"] if masks else []),
        _steps(task, data, config),
        f"on {num_devices} x {device}; files go to {folder}, numbers to {loggers}",
    ]


def _size(params: PyTree, trained: PyTree) -> str:
    """Say how many parameters there are, in which parts."""
    total, frozen = _count(params), _count(params) - _count(trained)
    parts = {name: _count(part) for name, part in params.items()}
    inside = ", ".join(f"{name} {number:,}" for name, number in parts.items())
    of_them = f", {frozen:,} of them frozen" if frozen else ""
    return f"{total:,} parameters{of_them} ({inside})"


def hidden(params: PyTree, masks: Engine) -> str:
    """Say how much masks hide in the end, of how many leaves, by what and when.

    Args:
        params: the parameters, or their shapes.
        masks: of them.
    """
    options, shares = masks.options, jax.tree.leaves(masks.cutting.sparsities)
    sizes = [math.prod(leaf.shape) for leaf in jax.tree.leaves(masks.cutting.of(params))]
    share = sum(map(operator.mul, sizes, shares)) / sum(sizes)
    said = f"{100 * share:.4g} % of {sum(sizes):,} weights in {len(sizes)} leaves, by rule "
    said += f"{options.rule!r}, hides {options.hides!r}, from step {options.begin_step}"
    if options.every_steps:
        said += f", anew every {options.every_steps} steps"
        said += f" to {options.end_step}" if options.end_step else ""
    return said + (f", until {options.release_step}" if options.release_step else "")


def _steps(task: Task, data: Any, config: Any) -> str:
    """Say what a step sees, and how many there are."""
    if not config.total_steps:
        return "0 steps: nothing is trained"
    what = f"{config.batch_size} examples"
    if task.positions_per_example:
        what += f" of {task.positions_per_example} positions"
    epochs = config.total_steps * config.batch_size / data.num_train
    return f"{config.total_steps} steps of {what} ({epochs:.3g} epochs)"


def _count(tree: PyTree) -> int:
    """Count the numbers of a tree of arrays or shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
