"""What masks of parameters cost a training step, on this CPU.

    python tests/benchmarks/param_masks.py --rounds=5

A vision transformer, 128 wide and 6 blocks deep, on random images of 28 x 28, batches of 128
(configs/finetune.py:fashion_mnist). In each round every program makes as many steps, in turn, so
that all see the same machine: nothing hidden; a fixed mask of half of each leaf; and masks that
change every four steps, by which what a change costs is told. Seconds are those of the processor,
all cores together, which other processes hardly lengthen. What counts are medians over rounds.
A change comes every hundred steps in the papers (Zhu & Gupta 2018; Evci et al. 2020).
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import rounds

from maskjax import tasks
from maskjax.config import load
from maskjax.tools import benchmark
from maskjax.training import cpu, parallel, run

EVERY = 4
KINDS = {
    "dense": {},
    "fixed": {"method": "random"},
    "gradual": {"method": "gradual", "every_steps": EVERY, "end_step": 99_000},
    "rigl": {"method": "rigl", "every_steps": EVERY, "end_step": 99_000},
    "sr_ste": {"method": "sr_ste", "include": ("(query|key|value|out|fc1|fc2)/kernel$",)},
}


def stepper(masks: dict[str, Any]) -> Callable[[], None]:
    """A training step that goes on from the one before."""
    config = load(rounds.ROOT / "configs" / "finetune.py", "fashion_mnist")
    config.total_steps = 100_000
    config.update_from_flattened_dict({f"param_masks.{name}": x for name, x in masks.items()})
    task = tasks.build(config, benchmark.Shape((28, 28, 1), 10))
    rng, spread = np.random.default_rng(0), parallel.Spread(1)
    size = config.batch_size
    batch = {
        "inputs": rng.normal(size=(size, 28, 28, 1)).astype(np.float32),
        "label": rng.integers(0, 10, size).astype(np.int32),
        "id": np.arange(size, dtype=np.int32),
        "epoch": np.zeros(size, np.int32),
        "is_valid": np.ones(size, bool),
    }
    batch, state = spread.split(batch), spread.replicate(run.initial_state(task, config))
    program = spread.program(run.make_step(task, config, spread.axis_name), donate=True)

    def step() -> None:
        nonlocal state
        state, metrics = program(state, batch)
        jax.block_until_ready((state, metrics))

    return step


def main() -> None:
    """Time, and say what a mask and a change cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2 * EVERY, help="a multiple of 4")
    told = parser.parse_args()
    cpu.keep_freed_memory()
    steps = {name: stepper(masks) for name, masks in KINDS.items()}
    means = {name: [] for name in KINDS}
    for number in range(told.rounds + 1):
        for name, step in steps.items():
            begin = time.process_time()
            for _ in range(told.steps):
                step()
            if number:  # the first compiles
                means[name].append((time.process_time() - begin) / told.steps)
    of = {name: statistics.median(values) for name, values in means.items()}
    ratios = {
        name: statistics.median(x / y for x, y in zip(means[name], means["dense"]))
        for name in KINDS
    }
    print(f"a dense step takes {of['dense']:.4f} s")
    print("beside it: " + ", ".join(f"{name} {ratio:.3f}" for name, ratio in ratios.items()))
    for name in ("gradual", "rigl"):
        change = EVERY * statistics.median(x - y for x, y in zip(means[name], means["fixed"]))
        share = change / (100 * of["dense"])
        print(f"a change of {name} takes {change:.4f} s: every 100 steps {100 * share:.2f} % more")


if __name__ == "__main__":
    main()
