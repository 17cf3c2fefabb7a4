"""A new run that starts from the newest state of another: `config.init_from`."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging
from flax import serialization

from maskjax import workdir
from maskjax.masking.parameters import matching
from maskjax.paths import local_path
from maskjax.training.state import TrainState
from maskjax.typing import PyTree
from maskjax.workdir.checkpoint import Checkpoints
from maskjax.workdir.leaves import named_leaves, params_sha256, with_leaves

_NAMED = 5  # leaves that an error lists by name


def check(options: Any) -> None:
    """Refuse rules of `config.init_from` that no path would make use of, in a ValueError."""
    for name in ("skip", "rename"):
        if not options.path and any(options[name]):
            raise ValueError(
                f"init_from.{name}={tuple(options[name])!r} changes nothing: set init_from.path to "
                f"the folder of a run, or leave init_from.{name} out"
            )


def start(
    state: TrainState, config: Any, schedule: Callable[[int, float], Any]
) -> tuple[TrainState, dict[str, Any], str]:
    """Put what another run has learned into a fresh state.

    Args:
        state: a fresh state; its structure, shapes and placement are kept.
        config: the new run's; `init_from.path` is the folder of the other, `init_from.what` is
            "params" (its parameters; the run begins at step 0) or "all" (step, moments, averages
            and memory too). Averages that the other run lacks start as a copy of its parameters.
            With "params", "rename" changes the other's paths, and what "skip" finds then begins
            anew here and is left out there: every other leaf must be on both sides.
        schedule: learning rate of the new run at a step.

    Returns:
        The state; a record of what was loaded, with the parameters' hash, for config.json; a line
        that says where the run starts and at which learning rate.

    Raises:
        FileNotFoundError: there is no such folder, or it has no whole checkpoint.
        ValueError: leaves do not fit, and are named; or no step is left of the new run.
    """
    folder, what = local_path(config.init_from.path, "init_from.path"), config.init_from.what
    saved = folder / workdir.CHECKPOINTS
    if not saved.is_dir():
        raise FileNotFoundError(
            f"init_from.path {str(folder)!r} has no checkpoints: give the --workdir of a run"
        )
    with Checkpoints(saved, read_only=True) as checkpoints:
        found = checkpoints.restore_any(jax.tree.leaves(state.params)[0].sharding)
    if found is None:
        raise FileNotFoundError(f"init_from.path: {saved} has no whole checkpoint yet")
    step, tree = found
    state = _merge(state, tree, config.init_from, saved / str(step))
    done = int(state.step)
    if done >= config.total_steps:
        raise ValueError(
            f"init_from.path {str(folder)!r} is at step {done}, and total_steps is "
            f"{config.total_steps}: raise total_steps, or set init_from.what=params to begin anew"
        )
    record = {"path": str(folder), "step": step, "what": what}
    record |= {"params_sha256": params_sha256(state.params)}
    rates = [float(schedule(at, 1.0)) for at in (done, config.total_steps)]
    line = (
        f"starts at step {done} of {config.total_steps} from step {step} of {folder} ({what}): "
        f"learning rate {rates[0]:.3g} now, {rates[1]:.3g} at the end"
    )
    return state, record, line


def _merge(state: TrainState, tree: Mapping[str, Any], options: Any, place: Path) -> TrainState:
    """Take from nested dicts what the new run's state has a place for, and all of it."""
    if options.what == "params":
        params = _filled(state.params, tree["params"], f"{place}: params", options)
    elif options.skip or options.rename:
        raise ValueError(
            "init_from.skip and init_from.rename are for parameters: set init_from.what=params"
        )
    else:
        params = _filled(state.params, tree["params"], f"{place}: params")
    averages = state.ema_params
    if options.what == "params":
        if averages is not None:
            averages = jax.tree.map(jnp.copy, params)
        return dataclasses.replace(state, params=params, ema_params=averages)
    saved = tree.get("ema_params")
    if averages is not None and saved:
        averages = _filled(averages, saved, f"{place}: ema_params")
    elif averages is not None:
        averages = jax.tree.map(jnp.copy, params)
    elif saved:
        logging.warning("%s has averaged parameters; they are left out.", place)
    watches, seen = dict(state.watches), tree.get("watches") or {}
    if "plateau" in watches and "plateau" in seen:
        name = f"{place}: watches/plateau"
        watches["plateau"] = _filled(watches["plateau"], seen["plateau"], name)
    return dataclasses.replace(
        state,
        watches=watches,
        step=tree["step"],
        params=params,
        opt_state=_filled(state.opt_state, tree["opt_state"], f"{place}: opt_state"),
        ema_params=averages,
        memory=_filled(state.memory, tree.get("memory") or {}, f"{place}: memory"),
        nonfinite_total=tree["nonfinite_total"],
    )


def _filled(wanted: PyTree, saved: PyTree, name: str, options: Any = None) -> PyTree:
    """Give saved leaves the wanted structure, those of `options.skip` aside.

    Raises:
        ValueError: one side has a leaf that the other lacks, or of another shape or dtype; or a
            rule that finds nothing.
    """
    ours, theirs = named_leaves(serialization.to_state_dict(wanted)), named_leaves(saved)
    begun: dict[str, Any] = {}
    if options is not None:
        theirs = _renamed(theirs, options.rename)
        skipped = matching("init_from.skip", tuple(options.skip), sorted({*ours, *theirs}))
        begun = {key: leaf for key, leaf in ours.items() if key in skipped}
        ours, theirs = (
            {k: x for k, x in each.items() if k not in skipped} for each in (ours, theirs)
        )
    problems = {
        "lacks": [key for key in ours if key not in theirs],
        "has besides": [key for key in theirs if key not in ours],
        "has in another shape": [
            f"{key} {theirs[key].dtype}{list(theirs[key].shape)}, here "
            f"{leaf.dtype}{list(leaf.shape)}"
            for key, leaf in ours.items()
            if key in theirs and (theirs[key].shape, theirs[key].dtype) != (leaf.shape, leaf.dtype)
        ],
    }
    if any(problems.values()):
        parts = (f"{verb} {_listed(keys)}" for verb, keys in problems.items() if keys)
        instead = ", or name these leaves in init_from.skip" if options is not None else ""
        raise ValueError(
            f"init_from: {name} does not fit this config's model and optimizer: it "
            f"{', '.join(parts)}; set the same model keys as that run{instead}"
        )
    return with_leaves(wanted, theirs | begun)


def _renamed(leaves: Mapping[str, Any], pairs: Any) -> dict[str, Any]:
    """Replace what the first of each pair finds in the paths by the second."""
    found = dict(leaves)
    for pair in pairs:
        if not (
            isinstance(pair, list | tuple)
            and len(pair) == 2
            and all(isinstance(part, str) for part in pair)
        ):
            raise ValueError(
                f"init_from.rename holds {pair!r}: give pairs, as in (('^vit/', 'encoder/'),)"
            )
        old, new = pair
        matching("init_from.rename", old, list(found))
        try:
            renamed = {re.sub(old, new, path): leaf for path, leaf in found.items()}
        except (re.error, IndexError) as error:  # IndexError: a group of no such name
            raise ValueError(
                f"init_from.rename {pair}: {new!r} cannot stand for what {old!r} finds: {error}; "
                r"\1 is what its first (...) finds, and \\ a backslash"
            ) from None
        if len(renamed) < len(found):
            raise ValueError(f"init_from.rename {pair} gives two leaves the same path")
        found = renamed
    return found


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return "; ".join(keys[:_NAMED]) + more
