"""Two programs timed in alternating rounds, each in a process of its own.

Both see the same machine; what counts is the median over rounds of the median step.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

WORKERS = ("torch", "maskjax")


def arguments(doc: str, steps: int) -> argparse.ArgumentParser:
    """Make a parser of what both comparisons are told: --rounds, --steps, and --worker inside."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=steps, help="timed in each round")
    parser.add_argument("--worker", choices=WORKERS)
    return parser


def work(time_steps: Callable[..., Sequence[float]], *options: object) -> None:
    """Print the median step of one round, in seconds."""
    print(json.dumps(statistics.median(time_steps(*options))))


def compare(script: str, rounds: int, *flags: str) -> str:
    """Run a script as one worker after the other.

    Args:
        script: the file; with `--worker=` it prints the median step of one round.
        rounds: how often.
        flags: what else it is told.

    Returns:
        Both medians, the speed beside PyTorch's, and those of every round, in words.
    """
    medians: Mapping[str, list[float]] = {worker: [] for worker in WORKERS}
    for _ in range(rounds):
        for worker, values in medians.items():
            command = [sys.executable, script, f"--worker={worker}", *flags]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            values.append(json.loads(printed.splitlines()[-1]))
    ours, theirs = (statistics.median(medians[key]) for key in ("maskjax", "torch"))
    every = {key: [round(value, 3) for value in values] for key, values in medians.items()}
    return (
        f"maskjax {ours:.3f} s, PyTorch eager {theirs:.3f} s, speed {theirs / ours:.2f} of "
        f"PyTorch's; rounds {every}"
    )
