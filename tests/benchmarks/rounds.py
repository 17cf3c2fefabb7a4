"""Programs timed in alternating rounds, each in a process of its own.

All see the same machine; what counts is the median over rounds of the median step.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WORKERS = ("torch", "maskjax")


def arguments(doc: str, steps: int, workers: Sequence[str] = WORKERS) -> argparse.ArgumentParser:
    """Make a parser of what comparisons are told: --rounds, --steps, and --worker inside."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=steps, help="timed in each round")
    parser.add_argument("--worker", choices=workers)
    return parser


def work(time_steps: Callable[..., Sequence[float]], *options: object) -> None:
    """Print the median step of one round, in seconds."""
    print(json.dumps(statistics.median(time_steps(*options))))


def seconds(step: Callable[[], object], steps: int) -> list[float]:
    """Time a function that returns when all is done, after two calls to warm up."""
    found = []
    for number in range(steps + 2):
        begin = time.perf_counter()
        step()
        if number >= 2:
            found.append(time.perf_counter() - begin)
    return found


def alternate(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[Any]]:
    """Run commands in turn, so often.

    Args:
        commands: by name, what is run; the last line that it prints is JSON.
        rounds: how often.

    Returns:
        What each printed in each round.
    """
    found: dict[str, list[Any]] = {name: [] for name in commands}
    for _, (name, command) in itertools.product(range(rounds), commands.items()):
        run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if run.returncode:
            raise SystemExit(f"{name} failed:\n{run.stderr}")
        found[name].append(json.loads(run.stdout.splitlines()[-1]))
    return found


def compare(script: str, rounds: int, *flags: str) -> str:
    """Run a script as one worker after the other.

    Args:
        script: the file; with `--worker=` it prints the median step of one round.
        rounds: how often.
        flags: what else it is told.

    Returns:
        Both medians, the speed beside PyTorch's, and those of every round, in words.
    """
    commands = {each: [sys.executable, script, f"--worker={each}", *flags] for each in WORKERS}
    medians = alternate(commands, rounds)
    ours, theirs = (statistics.median(medians[key]) for key in ("maskjax", "torch"))
    every = {key: [round(value, 3) for value in values] for key, values in medians.items()}
    return (
        f"maskjax {ours:.3f} s, PyTorch eager {theirs:.3f} s, speed {theirs / ours:.2f} of "
        f"PyTorch's; rounds {every}"
    )
