"""A new run that starts from a state of another, or from published weights."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from absl import logging
from flax import serialization, traverse_util

from maskjax import workdir
from maskjax.interop import published, sparse
from maskjax.interop.files import has_weights
from maskjax.interop.fit import fitted
from maskjax.interop.text import begin_head
from maskjax.models.lora import LORA, merged
from maskjax.models.text import TextArchitecture
from maskjax.paths import local_path
from maskjax.spelling import listed
from maskjax.tasks.task import Task
from maskjax.training.init_checks import check_heads, check_ids, model_of, other_sizes
from maskjax.training.state import TrainState
from maskjax.typing import PyTree
from maskjax.workdir.best import Best
from maskjax.workdir.checkpoint import Checkpoints
from maskjax.workdir.leaves import named_leaves, params_sha256
from maskjax.workdir.merge import filled, found_in, taken


def check(options: Any) -> None:
    """Refuse rules of `config.init_from` that no path would make use of, in a ValueError."""
    for name in ("skip", "rename", "channels", "state"):
        if not options.path and any(options[name]):
            raise ValueError(
                f"init_from.{name}={options[name]!r} changes nothing: set init_from.path, or leave "
                f"init_from.{name} out"
            )


def start(
    state: TrainState,
    config: Any,
    schedule: Callable[[int, float], Any],
    task: Task | type[Task] = Task,
    data: Mapping[str, Any] | None = None,
) -> tuple[TrainState, dict[str, Any], str]:
    """Put what another run has learned into a fresh state.

    Args:
        state: a fresh state; its structure, shapes and placement are kept.
        config: the new run's; `init_from.path` is the folder of the other, or published weights
            (maskjax/interop), which are parameters alone; `init_from.what` is "params" (what was
            judged of it: its averages where it kept some, unless `init_from.averages` says no; the
            run begins at step 0) or "all" (step, moments, averages and memory too),
            `init_from.state` which of a run's states. Averages that the other run lacks start as a
            copy of its parameters. With "params", "rename" changes the other's paths, what "skip"
            finds then begins anew here and is left out there, and tables of positions are resampled
            for inputs of another size: every other leaf must be on both sides.
        schedule: learning rate of the new run at a step.
        task: the new run's; what it says of leaves that need not be on both sides is honoured
            with "params".
        data: what the new run's data say of themselves: what ids stand for must be the same there.

    Returns:
        The state; a record of what was loaded, with the parameters' hash, for config.json; a line
        that says where the run starts and at which learning rate.

    Raises:
        FileNotFoundError: there is no such folder, or it has no whole checkpoint.
        ValueError: leaves do not fit, and are named; or no step is left of the new run.
    """
    path, options = local_path(config.init_from.path, "init_from.path"), config.init_from
    is_run = (path / workdir.CHECKPOINTS).is_dir() or not has_weights(path)
    if not found_in(options.skip, {"encoder/table"}):
        check_ids(path, data or {})
    check_heads(path, config)
    if options.format == "maskjax" or (is_run and options.format == "auto"):
        source = _of_run(state, path, options, getattr(task, "architecture", None))
    else:
        source = _published(state, config, task, path)
    try:
        state, strays = _merge(state, source.tree, options, source.place, task, source.grid)
    except ValueError as error:
        if hint := other_sizes(path, config):
            error.add_note(hint)
        raise
    done = int(state.step)
    if done >= max(config.total_steps, 1):  # 0 steps begin and end at 0
        raise ValueError(
            f"init_from.path {str(path)!r} is at step {done}, and total_steps is "
            f"{config.total_steps}: raise total_steps, or set init_from.what=params to begin anew"
        )
    record = {"path": str(path), **source.record, "what": options.what}
    record |= {"params_sha256": params_sha256(state.params)} | strays
    line = f"starts at step {done} of {config.total_steps} from {source.name} ({options.what})"
    if config.total_steps:
        rates = [float(schedule(at, 1.0)) for at in (done, config.total_steps)]
        line += f": learning rate {rates[0]:.3g} now, {rates[1]:.3g} at the end"
    line += "".join(f"; {note}" for note in source.record.get("notes", ()))
    line += "".join(f"; {how}: {listed(keys)}" for how, keys in strays.items())
    return state, record, line


class _Source(NamedTuple):
    tree: Mapping[str, Any]  # "params", and what else of a state there is
    place: Path
    name: str
    record: dict[str, Any]  # for config.json
    grid: tuple[int, ...] = ()  # of the positions of a run, where it is known


def _of_run(state: TrainState, folder: Path, options: Any, architecture: Any) -> _Source:
    """Read a whole checkpoint of a run."""
    saved = folder / workdir.CHECKPOINTS
    if not saved.is_dir():
        raise FileNotFoundError(
            f"init_from.path {str(folder)!r} has no checkpoints: give the --workdir of a run, or "
            "weights of a format that is read (maskjax/interop/README.md)"
        )
    which = options.state or ("newest" if options.what == "all" else "")
    with Checkpoints(saved, read_only=True, best=Best.of_run(folder)) as checkpoints:
        found = checkpoints.restore_any(jax.tree.leaves(state.params)[0].sharding, which)
        if found is None:
            raise FileNotFoundError(f"init_from.path: {checkpoints.nothing(which)}")
    step, tree = found
    name, record, model = f"step {step} of {folder}", {"step": step}, model_of(folder)
    if options.what == "params":
        params = tree["params"]
        if options.averages and tree.get("ema_params"):
            params, name = tree["ema_params"], f"the moving averages at {name}"
            record["averages"] = True
        if LORA in params and LORA not in state.params:
            if not model:
                raise ValueError(
                    f"init_from.path {folder}: its {workdir.CONFIG} cannot be read, which says how "
                    "its adapters weigh: put that file back"
                )
            scale = model["lora_alpha"] / model["lora_rank"]
            params, record["notes"] = merged(params, scale), ["its adapters are merged"]
        if isinstance(architecture, TextArchitecture):
            params, notes = _with_head(params, state, options, architecture.form)
            record |= {"notes": [*record.get("notes", ()), *notes]} if notes else {}
        tree = {"params": params}
    return _Source(tree, saved / str(step), name, record, model.get("grid", ()))


def _with_head(
    params: PyTree, state: TrainState, options: Any, form: str
) -> tuple[PyTree, list[str]]:
    """Begin a head as published weights begin it; the parameters, and what was done."""
    theirs, ours = named_leaves(params), {*named_leaves(serialization.to_state_dict(state.params))}
    notes = begin_head(theirs, form, ours - found_in(options.skip, ours))
    return (traverse_util.unflatten_dict(theirs, sep="/"), notes) if notes else (params, [])


def _published(state: TrainState, config: Any, task: Task | type[Task], path: Path) -> _Source:
    """Read weights of another project and make them fit the task's model."""
    options = config.init_from
    if options.state:
        raise ValueError(
            f"init_from.path {str(path)!r} is no run, which has several states: leave "
            f"init_from.state={options.state!r} out"
        )
    if options.what != "params":
        raise ValueError(
            f"init_from.path {str(path)!r} holds parameters alone: set init_from.what=params"
        )
    weights = published.read(path, options.format)
    name = f"{weights.format} weights {weights.path}"
    record = {"format": weights.format, "file_sha256": weights.sha256}
    sharding = jax.tree.leaves(state.params)[0].sharding
    if weights.format == sparse.FORMAT:  # paths and shapes are those of a run
        placed = jax.device_put(weights.params, sharding)
        grid = getattr(weights.architecture, "grid", ())
        return _Source({"params": placed}, weights.path, name, record, grid)
    ours = named_leaves(serialization.to_state_dict(state.params))
    skipped = found_in(options.skip, {*ours})
    wanted = {name: tuple(leaf.shape) for name, leaf in ours.items() if name not in skipped}
    architecture = getattr(task, "architecture", None)
    params, notes = fitted(weights, architecture, wanted, options.channels)
    placed = jax.device_put(params, sharding)
    record |= {"notes": notes} if notes else {}
    return _Source({"params": placed}, weights.path, name, record)


def _merge(
    state: TrainState,
    tree: Mapping[str, Any],
    options: Any,
    place: Path,
    task: Task | type[Task] = Task,
    grid: tuple[int, ...] = (),
) -> tuple[TrainState, dict[str, list[str]]]:
    """Take from nested dicts what the new run's state has a place for, and all of it.

    Returns:
        The state, and the parameters that are not as they were there: "begins anew", "left out",
        "resampled ...".
    """
    averages = state.ema_params
    if options.what == "params":
        params, strays = taken(state.params, tree["params"], options, place, task, grid)
        if averages is not None:
            averages = jax.tree.map(jnp.copy, params)
        return dataclasses.replace(state, params=params, ema_params=averages), strays
    if options.skip or options.rename:
        raise ValueError(
            "init_from.skip and init_from.rename are for parameters: set init_from.what=params"
        )
    params = filled(state.params, tree["params"], f"{place}: params")
    saved = tree.get("ema_params")
    if averages is not None and saved:
        averages = filled(averages, saved, f"{place}: ema_params")
    elif averages is not None:
        averages = jax.tree.map(jnp.copy, params)
    elif saved:
        logging.warning("%s has averaged parameters; they are left out.", place)
    masks, masked = state.param_masks, tree.get("param_masks")
    if masks and masked:
        masks = filled(masks, masked, f"{place}: param_masks")
    elif masked:
        logging.warning("%s has parameter masks; they are left out.", place)
    watches, seen = dict(state.watches), tree.get("watches") or {}
    if "plateau" in watches and "plateau" in seen:
        name = f"{place}: watches/plateau"
        watches["plateau"] = filled(watches["plateau"], seen["plateau"], name)
    state = dataclasses.replace(
        state,
        watches=watches,
        step=tree["step"],
        params=params,
        opt_state=filled(state.opt_state, tree["opt_state"], f"{place}: opt_state"),
        ema_params=averages,
        param_masks=masks if masked or not masks else None,  # None: to be laid out
        memory=filled(state.memory, tree.get("memory") or {}, f"{place}: memory"),
        nonfinite_total=tree["nonfinite_total"],
    )
    return state, {}
