"""The numbers of a run as its metrics.jsonl has them, a line a split and step."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"
# Of a line; the rest was measured. "best_step" is whose state test was judged on, if not the last.
NO_NUMBERS = ("step", "split", "seconds", "best_step")


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


def has_measured(workdir: str | Path, name: str) -> bool:
    """Whether an evaluation of a run has given a number of a name."""
    lines = (line for line in read_metrics(workdir) if line["split"] == "validation")
    return any(name in line for line in lines)
