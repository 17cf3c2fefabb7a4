"""How a run ended, in a few lines for the terminal."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskjax.evaluation.metrics import Table
from maskjax.workdir import SUMMARY
from maskjax.workdir.lines import NO_NUMBERS, judged_lines
from maskjax.workdir.tables import read_tables

_MOST_ROWS = 50


def report(summary: Mapping[str, Any], folder: str | Path) -> str:
    """Describe a finished run, whatever its task measures.

    Args:
        summary: the content of its summary.json.
        folder: the workdir; what was judged is read from its metrics.jsonl.

    Returns:
        Lines with the time and memory it took, a table of what was measured on the splits that it
        was judged on, with the training step's number where that has one of the name, what the
        last of them has besides, as numbers of each class, and the paths of the pictures.
    """
    first = f"finished {summary['steps']} steps in {summary['seconds']:.0f} s"
    if "peak_host_memory_bytes" in summary:
        first += f"; peak memory {summary['peak_host_memory_bytes'] / 1e9:.1f} GB"
    lines = [first]
    if "ended" in summary:
        lines.append(f"  ended before total_steps: {summary['ended']}")
    if summary.get("nonfinite_total"):
        lines.append(f"  {summary['nonfinite_total']} steps were skipped as not finite")
    if "best_step" in summary:
        metric, value = summary["best_metric"], summary["best_value"]
        why = f"the best by validation: {metric} {_number(value)}"
        if value is None:
            why = f"the last: no evaluation gave a finite {metric}"
        lines.append(f"  validation and test are of step {summary['best_step']}, {why}")
    splits = judged_lines(folder, summary)
    lines += _table(splits)
    for split, tables in [*read_tables(folder, splits).items()][-1:]:
        for name, table in tables.items():
            if not table.is_matrix:
                lines += _rows(f"{name.replace('_', ' ')}, {split}", table)
    lines += [f"  {Path(folder) / path}" for path in summary.get("figures", ())]
    return "\n".join([*lines, f"  all of it in {folder}"])


def _table(splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Put the last numbers of all splits side by side, one row a name."""
    judged = [line for split, line in splits.items() if split != "train"]
    names = dict.fromkeys(name for line in judged for name in line if name not in NO_NUMBERS)
    rows = [[name, *(_number(line.get(name)) for line in splits.values())] for name in names]
    rows = [
        ["", *splits],
        *(rows or [["loss", *(_number(x.get("loss")) for x in splits.values())]]),
    ]
    return _aligned(rows)


def _rows(title: str, table: Table) -> list[str]:
    """Write a table, of many rows the first ones; a column of counts without decimals."""
    columns = []
    for name, values in zip(table.columns, table.values.T.tolist(), strict=True):
        are_counts = max(values, default=0) > 1 and all(x.is_integer() for x in values)
        columns.append([name, *(f"{x:.0f}" if are_counts else _number(x) for x in values)])
    rows = list(zip([title, *table.rows], *columns, strict=True))
    more = len(table.rows) - _MOST_ROWS
    return _aligned(rows[: 1 + _MOST_ROWS]) + [f"  {more} more in {SUMMARY}"] * (more > 0)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Put rows of texts below each other, the first of each to the left."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [
        f"  {name:<{first}}" + "".join(f"  {x:>{n}}" for x, n in zip(numbers, others, strict=True))
        for name, *numbers in rows
    ]


def _number(value: float | None) -> str:
    if not isinstance(value, int | float) or math.isnan(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.6g}"
