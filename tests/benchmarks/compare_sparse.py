"""What sparse weights take on disk, to load and to compute with, on this machine.

    python tests/benchmarks/compare_sparse.py --rounds=5

A vision transformer, 128 wide and 6 blocks deep (configs/finetune.py:fashion_mnist), with random
weights. Of the kernels of its blocks so much is hidden by magnitude, leaf by leaf; or 2 of 4; or
half and nine tenths of the hidden units of MLPs, and half of the heads too, whose network is then
made smaller, as launch/export.py --format=run does. Files are those of --format=sparse, and dense
ones of the same numbers. In each round every form is loaded, and computes features of a batch, in
turn, so that all see the same machine; seconds are those of the processor, all cores together,
which other processes hardly lengthen. Times are medians over rounds of a form's time beside the
dense one's of the same round.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import rounds
from flax import traverse_util
from jax.experimental import sparse as jax_sparse
from safetensors.numpy import save_file

from maskjax import tasks
from maskjax.config import load
from maskjax.interop import files, sparse
from maskjax.masking.parameters import cut_leaves, cut_n_of_m
from maskjax.masking.parameters.granularity import groups_of
from maskjax.tools import benchmark
from maskjax.tools.shrink import smaller
from maskjax.training import cpu
from maskjax.training.step import eval_context

SHARES = (0.5, 0.8, 0.9, 0.95)
HEADS = 4
NO_SPEED = 0.95  # of the dense time; less is what this calls faster
Leaves = dict[str, Any]


class Form(NamedTuple):
    """Weights in one form: by path, and what blocks have left of heads and hidden units."""

    params: Leaves
    kept: tuple[tuple[int, int], ...] = ()


def task_of(kept: tuple[tuple[int, int], ...]) -> tuple[Any, Any]:
    """The task, and its config."""
    config = load(rounds.ROOT / "configs" / "finetune.py", "fashion_mnist").unlock()
    config.model.encoder.kept = kept
    return tasks.build(config, benchmark.Shape((28, 28, 1), 10)), config


def masked(params: Leaves, pattern: str, cut: Callable[[str, Any], Any]) -> Leaves:
    """Hide weights of the leaves that a pattern finds."""
    found = lambda path: re.search(rf"block\d+/{pattern}/kernel$", path)  # noqa: E731
    return {
        path: np.where(cut(path, x), x, np.zeros_like(x)) if found(path) else x
        for path, x in params.items()
    }


def by_group(granularity: str, share: float) -> Callable[[str, Any], Any]:
    """Masks of whole neurons or heads, those of the least magnitude first."""

    def cut(path: str, leaf: Any) -> Any:
        groups = groups_of(granularity, path, leaf.shape, 1, HEADS)
        return groups.spread(cut_leaves(groups.pool(-abs(jnp.asarray(leaf))), share))

    return cut


def forms(params: Leaves) -> Iterator[tuple[str, Form]]:
    """Make the forms by name, the dense one first."""
    yield "dense", Form(params)
    for share in SHARES:
        cut = lambda _, x, share=share: cut_leaves(-abs(jnp.asarray(x)), share)  # noqa: E731
        yield f"{share:.0%} hidden", Form(masked(params, ".*", cut))
    two_of_four = lambda _, x: cut_n_of_m(-abs(jnp.asarray(x)), 2, 4)  # noqa: E731
    yield "2:4", Form(masked(params, ".*", two_of_four))
    for share in (0.5, 0.9):
        less = masked(params, "mlp/fc1", by_group("neuron", share))
        name = f"{share:.0%} of the hidden units"
        yield f"{name} gone", _made_smaller(less)
    less = masked(params, "mlp/fc1", by_group("neuron", 0.5))
    less = masked(less, "attn/value", by_group("head", 0.5))
    yield "half of hidden units and of heads gone", _made_smaller(less)


def _made_smaller(params: Leaves) -> Form:
    tree, sides = smaller(traverse_util.unflatten_dict(params, sep="/"), {"encoder": HEADS})
    return Form(traverse_util.flatten_dict(tree, sep="/"), sides["encoder"].after)


def written(name: str, form: Form, folder: Path) -> Path:
    """Write a form, without its zeros where it has many."""
    place = folder / re.sub(r"\W+", "_", name)
    place.mkdir()
    if name == "dense" or form.kept:
        rows = {path: np.asarray(x, order="C") for path, x in form.params.items()}
        save_file(rows, place / files.WEIGHTS)
    else:
        sparse.write(place, form.params, {})
    return place / files.WEIGHTS


def loaded(path: Path) -> Leaves:
    """Read a file as runs that start from it do."""
    content = files.open_weights(path)
    return sparse.dense(content)[0] if sparse.is_sparse(content) else content.arrays


def computed(form: Form, inputs: Any) -> Callable[[], Any]:
    """Features of a batch, compiled."""
    task, config = task_of(form.kept)
    params = jax.device_put(traverse_util.unflatten_dict(form.params, sep="/"))
    batch = {"inputs": inputs, "index": np.arange(len(inputs), dtype=np.int32)}
    context = eval_context(config, batch, ())
    call = jax.jit(lambda params: task.outputs()["features"](params, batch, context))
    return lambda: jax.block_until_ready(call(params))


def products(share: float) -> dict[str, Callable[[], Any]]:
    """One product with a masked kernel, by XLA's dense product and by JAX's sparse one."""
    rng = np.random.default_rng(0)
    x, kernel = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((800, 128), (128, 512)))
    kernel = jnp.where(cut_leaves(-abs(kernel), share), kernel, 0)
    by_hand = jax_sparse.BCOO.fromdense(kernel.T)
    dense, sparsely = jax.jit(lambda a, b: a @ b), jax.jit(lambda a, b: (b @ a.T).T)
    return {
        "dense": lambda: jax.block_until_ready(dense(x, kernel)),
        "sparse": lambda: jax.block_until_ready(sparsely(x, by_hand)),
    }


def timed(calls: dict[str, Callable[[], Any]], told: argparse.Namespace) -> dict[str, list[float]]:
    """Processor seconds of a call in each round, all calls in turn; the first round warms up."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(told.rounds + 1):
        for name, call in calls.items():
            begin = time.process_time()
            for _ in range(told.steps):
                call()
            if number:
                found[name].append((time.process_time() - begin) / told.steps)
    return found


def beside(found: dict[str, list[float]]) -> dict[str, float]:
    """Each time over the dense one's: the median over rounds."""
    return {
        name: statistics.median(x / y for x, y in zip(times, found["dense"]))
        for name, times in found.items()
    }


def main() -> None:
    """Write, load, compute, and say what was found."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="calls in each round")
    parser.add_argument("--batch_size", type=int, default=64)
    told = parser.parse_args()
    cpu.keep_freed_memory()
    task, _ = task_of(())
    drawn = jax.device_get(jax.jit(task.init)(jax.random.key(0)))
    made = dict(forms(dict(traverse_util.flatten_dict(drawn, sep="/"))))
    inputs = np.random.default_rng(0).normal(size=(told.batch_size, 28, 28, 1)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        places = {name: written(name, form, Path(folder)) for name, form in made.items()}
        sizes = {name: place.stat().st_size / 1e6 for name, place in places.items()}
        for name, place in places.items():
            read = loaded(place)
            assert all(np.array_equal(read[key], x) for key, x in made[name].params.items()), name
        loads = timed({name: lambda at=at: loaded(at) for name, at in places.items()}, told)
    calls = timed({name: computed(form, inputs) for name, form in made.items()}, told)
    load_of, call_of = beside(loads), beside(calls)
    print("| | MB on disk | to load, ms | beside dense | to compute, ms | beside dense |")
    print("|---|---|---|---|---|---|")
    for name in made:
        seconds = [1e3 * statistics.median(found[name]) for found in (loads, calls)]
        print(
            f"| {name} | {sizes[name]:.2f} | {seconds[0]:.1f} | {load_of[name]:.2f} | "
            f"{seconds[1]:.1f} | {call_of[name]:.2f} |"
        )
    same = [name for name in made if name != "dense" and call_of[name] > NO_SPEED]
    where = jax.devices()[0].device_kind
    if same:
        print(
            f"\nNo speed on this device ({where}) from: {', '.join(same)}. Hidden weights are "
            "multiplied as any others: XLA has no sparse kernel for them."
        )
    for share in (0.9, 0.95):
        ratio = beside(timed(products(share), told))["sparse"]
        print(
            f"One product [800, 128] by [128, 512] with {share:.0%} hidden takes {ratio:.1f} times "
            "the dense one's time as a sparse array of jax.experimental.sparse (BCOO)."
        )


if __name__ == "__main__":
    main()
