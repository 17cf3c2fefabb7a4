"""A run whose masks hide whole neurons, made into a smaller dense run of the same outputs.

    RUN, "granularity" of its masks "neuron"  ->  shrink()  ->  a folder of a run, which export,
    prediction and serving take as any other

Of each MLP those hidden units go that nothing reads, or that read nothing: these give a constant,
gelu(bias), which goes into the bias of the layer above. All MLPs of a model have one width: that of
the one with most units left, and others keep units that give nothing.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from maskjax import tasks
from maskjax import workdir as layout
from maskjax.models.layers import gelu
from maskjax.paths import atomic_folder
from maskjax.tools.saved import Saved, open_saved, writable
from maskjax.training.run import initial_state
from maskjax.typing import Params
from maskjax.workdir.checkpoint import Checkpoints
from maskjax.workdir.folder import write_atomically
from maskjax.workdir.leaves import params_sha256

_FIRST, _SECOND = "/fc1/kernel", "/fc2/kernel"


def shrink(workdir: Path, out: Path, *, which: str = "") -> list[str]:
    """Write the smaller run.

    Args:
        workdir: folder of the run.
        out: folder to make, of another run.
        which: of the run's states, see `open_saved`.

    Returns:
        What was done, in lines.

    Raises:
        ValueError: no hidden unit can go, MLPs with gates, or a folder that is not empty.
    """
    run = open_saved(workdir, needs_examples=False, which=which)
    if writable(out, "--output") and any(out.iterdir()):
        raise ValueError(f"--output {out} is not empty: give a folder to make")
    params, before, width = smaller(jax.device_get(run.state.eval_params))
    config = _of_width(run.config, width)
    state = initial_state(tasks.build(config, run.data), config)
    average = None if state.ema_params is None else params
    state = dataclasses.replace(
        state, step=run.state.step, params=params, ema_params=average, memory=run.state.memory
    )
    with atomic_folder(out) as folder:
        with Checkpoints(folder / layout.CHECKPOINTS) as checkpoints:
            checkpoints.save(int(state.step), jax.tree.map(jnp.asarray, state))
            checkpoints.wait()
        _write_record(run, config, folder, params)
    sizes = [sum(x.size for x in jax.tree.leaves(tree)) for tree in (run.state.params, params)]
    return [
        f"hidden units of each MLP: {before} -> {width}; parameters: {sizes[0]:,} -> {sizes[1]:,}",
        f"{out} is a run: launch/predict.py, export.py and serve.py take it",
    ]


def smaller(params: Params) -> tuple[Params, int, int]:
    """Leave out hidden units that add nothing but a constant.

    Args:
        params: of a model, on the host.

    Returns:
        The parameters that give the same outputs, and the width of MLPs before and after.

    Raises:
        ValueError: no MLP, none that has a unit to lose, or MLPs with gates.
    """
    flat: dict[str, Any] = dict(traverse_util.flatten_dict(params, sep="/"))
    places = [path.removesuffix(_FIRST) for path in flat if path.endswith(_FIRST)]
    if any(f"{place}/gate/kernel" in flat for place in places):
        raise ValueError("MLPs with gates are not made smaller: export the run as it is")
    is_dead = {
        place: ~flat[place + _FIRST].any(axis=0) | ~flat[place + _SECOND].any(axis=1)
        for place in places
    }
    before = max((x.size for x in is_dead.values()), default=0)
    width = max([1, *(int((~x).sum()) for x in is_dead.values())])
    if width >= before or len({x.size for x in is_dead.values()}) != 1:
        raise ValueError(
            f"none of the {before} hidden units can go in all MLPs: train with "
            "param_masks.granularity=neuron, param_masks.include=('fc1/kernel$',) and "
            "param_masks.scope=leaf"
        )
    for place, dead in is_dead.items():
        order = np.argsort(dead, kind="stable")  # what lives first, then the lowest index
        kept, gone = np.sort(order[:width]), np.sort(order[width:])
        bias = flat[f"{place}/fc1/bias"]
        constant = np.asarray(gelu(jnp.asarray(bias[gone]))) @ flat[place + _SECOND][gone]
        flat[f"{place}/fc2/bias"] = flat[f"{place}/fc2/bias"] + constant
        flat[place + _FIRST] = flat[place + _FIRST][:, kept]
        flat[f"{place}/fc1/bias"] = bias[kept]
        flat[place + _SECOND] = flat[place + _SECOND][kept]
    return traverse_util.unflatten_dict(flat, sep="/"), before, width


def _of_width(config: Any, width: int) -> Any:
    """The config with that width of MLPs, and without masks."""
    config = config.copy_and_resolve_references().unlock()
    model = config.model if "hidden" in config.model else config.model.encoder
    model.hidden = width
    for name in config.param_masks:
        config.param_masks[name] = {"method": "", "file": "", "include": (), "exclude": ()}.get(
            name, () if name == "sparsities" else None
        )
    return config


def _write_record(run: Saved, config: Any, out: Path, params: Params) -> None:
    """What else a run's folder has: the config, the numbers, a summary."""
    record = json.loads((run.folder / layout.CONFIG).read_text())
    record["config"] = json.loads(json.dumps(config.to_dict(), default=str))
    write_atomically(out / layout.CONFIG, json.dumps(record | {"shrunk_from": str(run.folder)}))
    for name in (layout.METRICS, layout.SUMMARY):
        if (run.folder / name).is_file():
            shutil.copy(run.folder / name, out / name)
    if (out / layout.SUMMARY).is_file():
        summary = json.loads((out / layout.SUMMARY).read_text())
        summary |= {"params_sha256": params_sha256(params), "shrunk_from": str(run.folder)}
        write_atomically(out / layout.SUMMARY, json.dumps(summary, indent=2))
