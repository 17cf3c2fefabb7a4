"""Tasks: the only place where a config becomes arguments.

A task has `init(key)`, `loss(params, batch, keys, step)`, `decay_mask(params)`,
`features(params, inputs)`, `reconstruct(params, batch, keys, step)` and `flops_per_example`.
"""

import difflib
from typing import Any

from maskjax.tasks import mae

TASKS = {"mae": mae.build}


def build(config: Any, data: Any) -> Any:
    """Makes the task named `config.task`.

    Args:
        config: The whole config.
        data: From `maskjax.data.build`.

    Returns:
        The task.

    Raises:
        ValueError: an unknown task, or a config that does not fit it.
    """
    if config.task not in TASKS:
        near = difflib.get_close_matches(config.task, TASKS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"unknown task {config.task!r}{hint}: use one of {sorted(TASKS)}")
    return TASKS[config.task](config, data)
