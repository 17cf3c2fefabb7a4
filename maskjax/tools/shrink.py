"""A run whose masks hide whole neurons or heads, made into a smaller dense run of the same outputs.

    RUN, "granularity" of its masks "neuron" or "head"  ->  shrink()  ->  a folder of a run, which
    export, prediction and serving take as any other

Of each MLP those hidden units go, gated or not, and of each attention layer those heads, that
nothing reads, or that give a constant: this goes into the bias of the layer above. Each block keeps
what it needs of them, one of each at least; the residual stream keeps its width.
"""

import dataclasses
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from maskjax import tasks
from maskjax import workdir as layout
from maskjax.models.layers import gelu
from maskjax.models.sizes import Kept
from maskjax.paths import atomic_folder
from maskjax.tools.saved import Saved, open_saved, writable
from maskjax.training.mask_heads import num_heads_of
from maskjax.training.run import initial_state
from maskjax.typing import Params
from maskjax.workdir.checkpoint import Checkpoints
from maskjax.workdir.folder import write_atomically
from maskjax.workdir.leaves import params_sha256
from maskjax.workdir.masks import CHANGES
from maskjax.workdir.tables import TABLES

_NO_MASKS = {"method": "", "file": "", "include": (), "exclude": (), "sparsities": ()}
# Masks of heads while a model learns are for equal numbers of them.
_NO_HEADS = {"near_heads": 0, "drop_heads": 0.0}
# What a summary says of the masked run and is not true of the smaller one, which has no pictures.
_OF_MASKED = ("sparsity", "sparsity_by_layer", CHANGES, "figures")


class Side(NamedTuple):
    """Heads and width of the MLP of each block of a stack, before and after."""

    before: Kept
    after: Kept


def shrink(workdir: Path, out: Path, *, which: str = "") -> list[str]:
    """Write the smaller run.

    Args:
        workdir: folder of the run.
        out: folder to make, of another run.
        which: of the run's states, see `open_saved`.

    Returns:
        What was done, in lines.

    Raises:
        ValueError: no hidden unit and no head can go, or a folder that is not empty.
    """
    run = open_saved(workdir, needs_examples=False, which=which)
    if writable(out, "--output") and any(out.iterdir()):
        raise ValueError(f"--output {out} is not empty: give a folder to make")
    params, sides = smaller(
        jax.device_get(run.state.eval_params), num_heads_of(run.task, run.config)
    )
    config = _of_sides(run.config, sides)
    task = tasks.build(config, run.data)
    state = initial_state(task, config)
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
    lines = [f"parameters: {sizes[0]:,} -> {sizes[1]:,}"]
    if run.task.flops_per_example and task.flops_per_example:
        share = task.flops_per_example / run.task.flops_per_example
        lines.append(f"matrix products: {share:.0%} of those before")
    for name, side in sides.items():
        for what, i in (("heads", 0), ("hidden units", 1)):
            counts = [sum(block[i] for block in blocks) for blocks in side]
            by_block = ", ".join(str(block[i]) for block in side.after)
            lines.append(f"{what} of the {name}: {counts[0]} -> {counts[1]} ({by_block})")
    return [*lines, f"{out} is a run: launch/predict.py, export.py and serve.py take it"]


def smaller(params: Params, num_heads: Mapping[str, int]) -> tuple[Params, dict[str, Side]]:
    """Leave out heads and hidden units that add nothing but a constant.

    Args:
        params: of a model, on the host, with blocks "encoder/STACK/blockNN".
        num_heads: of "encoder" and "decoder", before any went: they say how wide a head is.

    Returns:
        The parameters that give the same outputs, and what each side had and has.

    Raises:
        ValueError: nothing can go.
    """
    flat: dict[str, Any] = dict(traverse_util.flatten_dict(params, sep="/"))
    sides = {}
    for side, heads in num_heads.items():
        found = (re.match(rf"({side}/\w+/block)(\d+)/", path) for path in flat)
        blocks = sorted({(int(it[2]), it[0]) for it in found if it})
        pairs = [
            (_cut_heads(flat, f"{place}attn", heads), _cut_units(flat, f"{place}mlp"))
            for _, place in blocks
        ]
        if pairs:
            before, after = (tuple((a[i], b[i]) for a, b in pairs) for i in (0, 1))
            sides[side] = Side(before, after)
    if all(side.before == side.after for side in sides.values()):
        raise ValueError(
            "no hidden unit and no head can go: train a transformer with param_masks.granularity="
            "neuron and param_masks.include=('fc1/kernel$',), or with param_masks.granularity=head,"
            " param_masks.num_heads=HEADS and param_masks.include="
            "('attn/(query|key|value|out)/kernel$',)"
        )
    return traverse_util.unflatten_dict(flat, sep="/"), sides


def _cut_heads(flat: dict[str, Any], place: str, num_heads: int) -> tuple[int, int]:
    """Leave heads out of an attention layer; returns how many there were and are."""
    value, out = flat[f"{place}/value/kernel"], flat[f"{place}/out/kernel"]
    width = len(value) // num_heads
    count = value.shape[1] // width
    is_silent = ~value.reshape(-1, count, width).any(axis=(0, 2))
    is_unread = ~out.reshape(count, -1).any(axis=1)
    is_kept = _kept(is_silent | is_unread)
    columns = np.repeat(is_kept, width)
    if f"{place}/value/bias" in flat:  # its average, with any weights that sum to 1
        _add_constant(flat, f"{place}/out", flat[f"{place}/value/bias"], columns)
    for name in ("query", "key", "value"):
        _take(flat, f"{place}/{name}", columns)
    flat[f"{place}/out/kernel"] = out[columns]
    return count, int(is_kept.sum())


def _cut_units(flat: dict[str, Any], place: str) -> tuple[int, int]:
    """Leave hidden units out of an MLP, whose gate is 1 where it has none, likewise."""
    second = flat[f"{place}/fc2/kernel"]
    is_flat, value = _constant(flat, f"{place}/fc1", len(second))
    factor = np.asarray(gelu(jnp.asarray(value)))
    has_gate = f"{place}/gate/kernel" in flat
    is_open, gate = np.ones(len(second), bool), np.ones(len(second), second.dtype)
    if has_gate:
        is_open, gate = _constant(flat, f"{place}/gate", len(second))
    gives_zero = (is_flat & (factor == 0)) | (is_open & (gate == 0))
    is_kept = _kept(~second.any(axis=1) | gives_zero | (is_flat & is_open))
    _add_constant(flat, f"{place}/fc2", factor * gate, is_kept)
    for name in ("fc1", "gate") if has_gate else ("fc1",):
        _take(flat, f"{place}/{name}", is_kept)
    flat[f"{place}/fc2/kernel"] = second[is_kept]
    return len(is_kept), int(is_kept.sum())


def _constant(flat: Mapping[str, Any], layer: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Which outputs of a dense layer depend on nothing, and what all are without inputs."""
    kernel = flat[f"{layer}/kernel"]
    return ~kernel.any(axis=0), flat.get(f"{layer}/bias", np.zeros(count, kernel.dtype))


def _kept(is_dead: np.ndarray) -> np.ndarray:
    """All others, or the first."""
    return ~is_dead if not is_dead.all() else np.arange(len(is_dead)) == 0


def _add_constant(flat: dict[str, Any], layer: str, value: np.ndarray, kept: np.ndarray) -> None:
    """Add what a layer reads of constants that go to its bias; without one all of them are 0."""
    if f"{layer}/bias" in flat:
        added = value[~kept] @ flat[f"{layer}/kernel"][~kept]
        flat[f"{layer}/bias"] = flat[f"{layer}/bias"] + added


def _take(flat: dict[str, Any], layer: str, kept: np.ndarray) -> None:
    """Keep outputs of a dense layer."""
    for name in ("kernel", "bias"):
        if f"{layer}/{name}" in flat:
            flat[f"{layer}/{name}"] = flat[f"{layer}/{name}"][..., kept]


def _of_sides(config: Any, sides: Mapping[str, Side]) -> Any:
    """The config with what is left, and without masks."""
    config = config.copy_and_resolve_references().unlock()
    for name, side in sides.items():
        if side.before != side.after:
            is_part = name in config.model
            section = config.model[name] if is_part else config.model
            widths = {width for _, width in side.after}
            are_alike = len(widths) == 1 and all(
                one[0] == other[0] for one, other in zip(side.before, side.after)
            )
            has_width = is_part or "hidden" in section
            if are_alike and has_width and not section.get("kept", ()):
                section.hidden = widths.pop()
            else:
                section.kept = side.after
    for name in {*_NO_HEADS} & {*config.model}:
        config.model[name] = _NO_HEADS[name]
    if config.task == "head_pruning":
        config.task = "mlm"  # what it is once heads went
    for name in config.param_masks:
        config.param_masks[name] = _NO_MASKS.get(name)
    return config


def _write_record(run: Saved, config: Any, out: Path, params: Params) -> None:
    """What else a run's folder has: the config, the numbers, a summary."""
    record = json.loads((run.folder / layout.CONFIG).read_text())
    record["config"] = json.loads(json.dumps(config.to_dict(), default=str))
    write_atomically(out / layout.CONFIG, json.dumps(record | {"shrunk_from": str(run.folder)}))
    for name in (layout.METRICS, layout.SUMMARY, TABLES):
        if (run.folder / name).is_file():
            shutil.copy(run.folder / name, out / name)
    if (out / layout.SUMMARY).is_file():
        summary = json.loads((out / layout.SUMMARY).read_text())
        summary = {name: x for name, x in summary.items() if name not in _OF_MASKED}
        summary |= {"params_sha256": params_sha256(params), "shrunk_from": str(run.folder)}
        write_atomically(out / layout.SUMMARY, json.dumps(summary, indent=2))
