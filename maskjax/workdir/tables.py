"""What was measured of a whole split and is no single number: tables, in a run's tables.json."""

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskjax.evaluation.metrics import Table
from maskjax.workdir.folder import write_atomically

TABLES = "tables.json"


def json_number(value: Any) -> Any:
    """Turn a number into what JSON knows: an int, a finite float, or null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    value = float(value)
    return value if math.isfinite(value) else None


def write_tables(
    workdir: str | Path,
    split: str,
    step: int,
    tables: Mapping[str, Table],
    kept: Collection[int] = (),
) -> None:
    """Put the tables of a split in the place of those from before.

    Args:
        workdir: the run's folder.
        split: "validation" or "test".
        step: at which they were made.
        tables: by name; a number that is not finite is written as null.
        kept: steps whose tables stay all the same.
    """
    path = Path(workdir) / TABLES
    content = json.loads(path.read_text()) if path.exists() else {}
    before = {at: x for at, x in content.get(split, {}).items() if at in map(str, kept)}
    content[split] = before | {str(step): {name: _plain(x) for name, x in tables.items()}}
    write_atomically(path, json.dumps(content) + "\n")


def read_tables(workdir: str | Path, lines: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Read the tables that stand beside numbers of each split.

    Args:
        workdir: the run's folder.
        lines: a line of metrics.jsonl of each split; tables of another step are left out.

    Returns:
        {split: {name: Table}}, null as NaN.
    """
    path = Path(workdir) / TABLES
    content = json.loads(path.read_text()) if path.exists() else {}
    return {
        split: {name: _restored(x) for name, x in content[split][str(line["step"])].items()}
        for split, line in lines.items()
        if str(line["step"]) in content.get(split, {})
    }


def nested(table: Table) -> dict[str, dict[str, Any]]:
    """Nest a table, for summary.json: {row: {column: number}}, null where it is not finite."""
    return {
        row: {column: json_number(x) for column, x in numbers.items()}
        for row, numbers in table.as_dict().items()
    }


def _plain(table: Table) -> dict[str, Any]:
    values = [[json_number(x) for x in row] for row in table.values.tolist()]
    return {"rows": list(table.rows), "columns": list(table.columns), "values": values}


def _restored(plain: Mapping[str, Any]) -> Table:
    values = np.array(plain["values"], np.float64)  # None becomes NaN
    shape = (len(plain["rows"]), len(plain["columns"]))
    return Table(tuple(plain["rows"]), tuple(plain["columns"]), values.reshape(shape))
