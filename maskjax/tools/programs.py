"""A task's outputs as functions that stand alone: stored numbers in, rows out, nothing of maskjax.

    Saved  ->  programs()  ->  {name: Program}  ->  export_stablehlo.py, export_onnx.py ...

A program takes the parameters and the inputs by name. What it needs beside the examples is found by
tracing it: "index" where masks are drawn, and "mask_ratio" where their ratio may be chosen. What
has no keys takes "mask_noise" in place of "index".
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from maskjax.tools.raw import from_raw, in_units, meaning, raw_batch
from maskjax.tools.saved import Saved
from maskjax.training.step import eval_context
from maskjax.typing import PyTree
from maskjax.workdir.leaves import named_leaves, with_leaves

BATCH = "b"  # the size of a batch, as shapes in model.json have it
INDEX, RATIO, NOISE = "index", "mask_ratio", "mask_noise"
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
# How a task says that its rule takes no count that is known only when the program runs.
_NOT_TRACED = (ValueError, TypeError, jax.errors.JAXTypeError)
_MEANINGS = {
    INDEX: "which masks are drawn: the same number, the same masks",
    RATIO: "share of the positions that is hidden, in [0, 1]",
    NOISE: "a number a position, last axis fastest: the highest are hidden; random ones hide any",
}


class Program(NamedTuple):
    """One output.

    Attributes:
        call: (leaves, inputs) -> an array [B, ...], or a dict of them.
        inputs: shape behind the batch, and dtype, of each input.
        outputs: the same of what comes out; one array is named as the program is.
    """

    call: Callable[[Mapping[str, Any], Mapping[str, Any]], Any]
    inputs: dict[str, jax.ShapeDtypeStruct]
    outputs: dict[str, jax.ShapeDtypeStruct]


def leaves_of(run: Saved) -> dict[str, np.ndarray]:
    """Name what programs read of a run's state: its averaged parameters, where it has them."""
    return {name: np.asarray(leaf) for name, leaf in named_leaves(_tree(run)).items()}


def programs(run: Saved, *, has_keys: bool = True) -> dict[str, Program]:
    """Make a program of each output of a run's task.

    Args:
        run: what was learned.
        has_keys: False where nothing can be drawn at random: what is hidden is then an input.

    Raises:
        ValueError: the task has no outputs.
    """
    outputs = run.task.outputs()
    if not outputs:
        raise ValueError(f"the task {run.config.task!r} has no outputs: nothing can be exported")
    return {name: _program(run, name, has_keys) for name in outputs}


def interface(run: Saved, made: Mapping[str, Program]) -> dict[str, Any]:
    """Describe programs in values that JSON knows."""
    inputs = {name: struct for program in made.values() for name, struct in program.inputs.items()}
    processor = run.data.processor
    return {
        "inputs": {
            name: _described(struct)
            | {"meaning": _MEANINGS.get(name) or meaning(processor, name)}
            | ({"default": default_of(run, name)} if name in (INDEX, RATIO) else {})
            for name, struct in inputs.items()
        },
        "programs": {
            name: {
                "inputs": sorted(program.inputs),
                "outputs": {key: _described(struct) for key, struct in program.outputs.items()},
            }
            for name, program in made.items()
        },
        "class_names": run.data.class_names and list(run.data.class_names),
    }


def default_of(run: Saved, name: str) -> int | float:
    """What stands for an input that is not given: the run's own ratio, masks of index 0."""
    return 0 if name == INDEX else float(run.config.mask.ratio)


def symbolic(inputs: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, jax.ShapeDtypeStruct]:
    """Put a batch of any size before the shapes of inputs."""
    (size,) = jax_export.symbolic_shape(BATCH)
    return {
        name: jax.ShapeDtypeStruct((size, *struct.shape), struct.dtype)
        for name, struct in inputs.items()
    }


def _tree(run: Saved) -> dict[str, PyTree]:
    return {"params": run.state.eval_params, "memory": run.state.memory}


def _program(run: Saved, name: str, has_keys: bool) -> Program:
    output, processor, config = run.task.outputs()[name], run.data.processor, run.config
    tree = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), _tree(run))
    example = raw_batch(processor, [processor.empty()])
    own = {key: jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for key, x in example.items()}

    def call(leaves: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
        state = with_leaves(tree, leaves)
        batch = from_raw(processor, {key: inputs[key] for key in own})
        batch = {**batch, **{key: inputs[key] for key in (RATIO, NOISE) if key in inputs}}
        size = next(iter(inputs.values())).shape[0]
        index = inputs.get(INDEX, jnp.zeros(size, jnp.int32))
        context = eval_context(config, {INDEX: index}, state["memory"])
        return in_units(processor, output(state["params"], batch, context))

    leaves, optional = named_leaves(tree), _optional(run)

    def reads(*names: str) -> dict[str, jax.ShapeDtypeStruct]:
        return own | _kept(call, leaves, own, {each: optional[each] for each in names})

    drawn, needed = INDEX, reads(INDEX)
    if INDEX in needed and not has_keys and NOISE in optional:
        without = reads(INDEX, NOISE)
        if INDEX not in without:
            drawn, needed = NOISE, without
    found = jax.eval_shape(call, leaves, symbolic(needed))
    if drawn in needed and isinstance(found, Mapping):  # pictures: one wants to see other ratios
        with contextlib.suppress(*_NOT_TRACED):
            needed = reads(drawn, RATIO)
    rows = found if isinstance(found, Mapping) else {name: found}
    cut = {key: jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for key, x in rows.items()}
    return Program(call, needed, cut)


def _optional(run: Saved) -> dict[str, jax.ShapeDtypeStruct]:
    """What not every program needs."""
    length = run.task.positions_per_example
    noise = {NOISE: jax.ShapeDtypeStruct((length,), jnp.float32)} if length else {}
    index, ratio = jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((), jnp.float32)
    return {INDEX: index, RATIO: ratio, **noise}


def _kept(
    call: Callable[..., Any],
    leaves: Mapping[str, Any],
    own: Mapping[str, jax.ShapeDtypeStruct],
    others: Mapping[str, jax.ShapeDtypeStruct],
) -> dict[str, jax.ShapeDtypeStruct]:
    """Of other inputs than a program's own, those that its result depends on."""
    inputs = {**own, **others}
    jaxpr = jax.jit(call).trace(leaves, symbolic(inputs)).jaxpr.jaxpr
    live = {id(var) for var in jaxpr.outvars}
    for equation in reversed(jaxpr.eqns):
        if any(id(var) in live for var in equation.outvars):
            live |= {id(var) for var in equation.invars}
    names = sorted(inputs)  # as JAX orders the entries of a dict, behind those of the leaves
    placed = zip(names, jaxpr.invars[len(leaves) :], strict=True)
    read = {name for name, var in placed if id(var) in live}
    return {name: struct for name, struct in others.items() if name in read}


def _described(struct: jax.ShapeDtypeStruct) -> dict[str, Any]:
    return {"shape": [BATCH, *struct.shape], "dtype": struct.dtype.name}
