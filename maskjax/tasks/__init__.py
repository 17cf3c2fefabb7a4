"""Tasks: what is predicted from what; the only place where a config becomes arguments.

A task is a module with `build(config, data)`: one of this folder, or of anybody's own.
"""

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from maskjax.spelling import did_you_mean, missing_import
from maskjax.tasks.task import Task


def build(config: Any, data: Any) -> Task:
    """Makes the task that `config.task` names.

    Args:
        config: The whole config; `config.task` is the name of a module of this folder, or the
            dotted path of another one.
        data: From `maskjax.data.build`.

    Returns:
        The task.

    Raises:
        ValueError: no such module, or its `build` is missing or makes no Task, or a config that
            does not fit the task.
    """
    module = _find(config.task)
    if not callable(getattr(module, "build", None)):
        raise ValueError(
            f"task {config.task!r}: {module.__name__} has no function build(config, data) that "
            "makes a task"
        )
    task = module.build(config, data)
    if not isinstance(task, Task):
        raise ValueError(
            f"task {config.task!r}: build made a {type(task).__name__}: it must make a subclass "
            "of maskjax.tasks.task.Task"
        )
    return task


def _find(name: str) -> ModuleType:
    """Imports the module of a task."""
    is_name = all(part.isidentifier() for part in name.split("."))
    for path in (f"{__name__}.{name}", name) if is_name else ():
        try:
            return importlib.import_module(path)
        except ModuleNotFoundError as error:
            if not f"{path}.".startswith(f"{error.name}."):
                raise ValueError(missing_import(f"task {name!r}", path, error)) from error
    known = _names()
    raise ValueError(
        f"unknown task {name!r}{did_you_mean(name, known)}: use one of {known}, or the dotted path "
        "of a module in the working directory, beside the config file or on PYTHONPATH"
    )


def _names() -> list[str]:
    """Names the modules of this folder that make a task."""
    found = [each.name for each in pkgutil.iter_modules(__path__)]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in found}
    return [name for name, module in modules.items() if hasattr(module, "build")]
