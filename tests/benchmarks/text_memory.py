"""Memory of a masked language model's step by the length of a row: attention whole, or in tiles.

    python tests/benchmarks/text_memory.py [--form=bert] [--size=tiny] [--lengths=1024,8192]

A step of configs/mlm.py on one packed row of bytes, each text attending to itself alone, is
compiled and not run: what counts is the memory that the compiled program asks for beside
parameters, moments and batch, its activations and gradients. "xla" makes the matrices of attention,
[H, L, L] in each block; "blockwise" one tile of them at a time, in the gradient as well.
"""

import argparse
import tempfile

import jax
import rounds

from maskjax import data, tasks
from maskjax.config import load
from maskjax.training import parallel, run

ATTENTION = ("xla", "blockwise")


def megabytes(attention: str, length: int, form: str, size: str, folder: str) -> float:
    """What a step needs beside what it is given."""
    config = load(rounds.ROOT / "configs" / "mlm.py", "")
    config.data.update(tokenizer="", max_length=length, index=folder)
    config.model.update(form=form, size=size, attention=attention)
    config.batch_size = 1
    built = data.build(config.data, seed=0, batch_size=1)
    task = tasks.build(config, built)
    batches, spread = built.train_batches(), parallel.Spread(1)
    batch = spread.shapes(next(batches))
    batches.close()
    state = jax.eval_shape(lambda: run.initial_state(task, config))
    program = spread.program(run.make_step(task, config, spread.axis_name), donate=True)
    return program.compile_for(state, batch).memory_analysis().temp_size_in_bytes / 1e6


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--form", default="bert")
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--lengths", default="1024,2048,4096,8192")
    asked = parser.parse_args()
    print("| tokens | " + " | ".join(f"{name}, MB" for name in ATTENTION) + " |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for length in map(int, asked.lengths.split(",")):
            given = (length, asked.form, asked.size, folder)
            row = [f"{megabytes(name, *given):,.0f}" for name in ATTENTION]
            print(f"| {length} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
