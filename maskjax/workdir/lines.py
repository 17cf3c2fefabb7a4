"""The numbers of a run as its metrics.jsonl has them, a line a split and step."""

import contextlib
import json
import math
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"
# Of a line; the rest was measured. "best_step" is whose state test was judged on, if not the last.
NO_NUMBERS = ("step", "split", "seconds", "best_step")
# Of a summary, said of the run as a whole, which studies compare.
OF_RUN = ("grad_norm_spikes",)
_SPIKE, _WINDOW, _LEAST = 3.0, 50, 5  # times the median of so many before, if so many there are


def read_metrics(workdir: str | Path) -> list[dict[str, Any]]:
    """Read the lines of a run's metrics.jsonl, without a last one that a kill cut short.

    The validation was named "eval" before there was a test; it is "validation" here.
    """
    path = Path(workdir) / METRICS
    lines = []
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(line))
    return [
        line | {"split": "validation"} if line.get("split") == "eval" else line for line in lines
    ]


def judged_lines(workdir: str | Path, summary: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Take the lines that say what came out of a finished run.

    Args:
        workdir: the run's folder.
        summary: the content of its summary.json.

    Returns:
        By split the last line; of validation that of the state that was judged on test.
    """
    lines = read_metrics(workdir)
    best = ("validation", summary.get("best_step"))
    last = {line["split"]: line for line in lines}
    return last | {line["split"]: line for line in lines if (line["split"], line["step"]) == best}


def first_reach(
    workdir: str | Path, metric: str, value: float, direction: str
) -> Mapping[str, Any] | None:
    """Find the first validation of a run that is as good as a value.

    Args:
        workdir: the run's folder.
        metric: name of a number.
        value: to reach.
        direction: "max" or "min", what is better.

    Returns:
        Its line, with "step" and "seconds"; None where there is none.
    """
    for line in read_metrics(workdir):
        found = line.get(metric) if line["split"] == "validation" else None
        if found is not None and (found >= value if direction == "max" else found <= value):
            return line
    return None


def validated(workdir: str | Path, metric: str) -> dict[int, float]:
    """Read the numbers of a metric that the validations of a run gave, by step; NaN if not finite.

    Args:
        workdir: the run's folder.
        metric: name of a number.
    """
    lines = (line for line in read_metrics(workdir) if line["split"] == "validation")
    found = {line["step"]: line[metric] for line in lines if metric in line}
    return {step: math.nan if x is None else x for step, x in found.items()}


def has_measured(workdir: str | Path, name: str) -> bool:
    """Whether an evaluation of a run has given a number of a name."""
    lines = (line for line in read_metrics(workdir) if line["split"] == "validation")
    return any(name in line for line in lines)


def grad_norm_spikes(lines: Iterable[Mapping[str, Any]]) -> float | None:
    """How often the norm of the gradient leaps: a number of this project's own.

    The share of the training lines whose norm is above 3 times the median of the 50 lines before
    it, or of as many as there are, 5 at least. One that is not finite is above any number, and no
    part of a median.

    Args:
        lines: of metrics.jsonl, with "split" and "grad_norm".

    Returns:
        The share; None where no line has 5 before it.

    >>> calm, leap = {"split": "train", "grad_norm": 1.0}, {"split": "train", "grad_norm": 3.1}
    >>> grad_norm_spikes([calm] * 5 + [leap] + [calm] * 4)
    0.2
    """
    before: list[float] = []
    judged: list[bool] = []
    for line in lines:
        if line["split"] != "train" or "grad_norm" not in line:
            continue
        norm = math.inf if line["grad_norm"] is None else line["grad_norm"]
        if len(before) >= _LEAST:
            judged.append(norm > _SPIKE * statistics.median(before[-_WINDOW:]))
        if math.isfinite(norm):
            before.append(norm)
    return sum(judged) / len(judged) if judged else None
