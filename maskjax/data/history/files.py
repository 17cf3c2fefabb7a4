"""Interactions from files: MovieLens in its three layouts, and any table with a header."""

import contextlib
import csv
import datetime
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskjax.data.history.histories import Histories, histories_of


class Layout(NamedTuple):
    """How a MovieLens file is written.

    Attributes:
        name: of the file.
        delimiter: between fields; where it stands twice, the field between counts as one.
        columns: of user, item and time.
        skip: lines of header.
    """

    name: str
    delimiter: str
    columns: tuple[int, int, int]
    skip: int


LAYOUTS = (
    Layout("u.data", "\t", (0, 1, 3), 0),  # 100K
    Layout("ratings.dat", ":", (0, 2, 6), 0),  # 1M and 10M, which write "::"
    Layout("ratings.csv", ",", (0, 1, 3), 1),  # 20M, 25M, 32M and "latest"
)


def read_movielens(folder: Path) -> Histories:
    """Read a MovieLens data set (Harper & Konstan 2015); every rating counts, whatever it says.

    Args:
        folder: has u.data, ratings.dat or ratings.csv; the first of them is read.

    Returns:
        The histories.

    Raises:
        FileNotFoundError: none of them is there.
        ValueError: the file is not what its name says.
    """
    for layout in LAYOUTS:
        path = folder / layout.name
        if path.is_file():
            break
    else:
        known = ", ".join(layout.name for layout in LAYOUTS)
        raise FileNotFoundError(f"{folder} has none of {known}: give the folder of a MovieLens set")
    try:
        table = np.loadtxt(
            path, np.int64, delimiter=layout.delimiter, skiprows=layout.skip,
            usecols=layout.columns, ndmin=2, comments=None, encoding="latin-1",
        )  # fmt: skip
        return histories_of(*table.T)
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise ValueError(f"{path} is no {layout.name} of MovieLens ({reason})") from error


def read_table(
    path: Path, user_column: str, item_column: str, time_column: str, delimiter: str = ","
) -> Histories:
    """Read a table with a header, one interaction a line.

    Args:
        path: the file, UTF-8.
        user_column: name of the column of users.
        item_column: name of the column of items.
        time_column: name of the column of times, numbers or ISO 8601 dates; "" takes each user's
            lines as sorted.
        delimiter: between fields.

    Returns:
        The histories.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column that the header lacks, an empty field, a line that ends early, or a
            time that is neither number nor date; the message has the line's number.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file, delimiter=delimiter)
        header = next(lines, [])
        columns = {}
        for key, name in (
            ("user_column", user_column),
            ("item_column", item_column),
            ("time_column", time_column),
        ):
            if name in header:
                columns[key] = header.index(name)
            elif name or key != "time_column":
                raise ValueError(
                    f"data.{key}={name!r} is no column of {path}: it has {', '.join(header)}"
                )
        rows = list(_interactions(lines, list(columns.values()), path))
    if not rows:
        raise ValueError(f"{path} has no interactions below its header")
    users, items, *times = (np.array(column) for column in zip(*rows, strict=True))
    return histories_of(users, items, times[0] if times else None)


def _interactions(
    lines: Iterator[list[str]], columns: list[int], path: Path
) -> Iterator[tuple[str | int | float, ...]]:
    """User, item and, where there is one, time of each line that is not empty."""
    for number, line in enumerate(lines, start=2):
        if not line:
            continue
        fields = [line[column].strip() if column < len(line) else "" for column in columns]
        if not all(fields):
            raise ValueError(f"line {number} of {path} lacks a user, an item or a time: {line}")
        try:
            yield (*fields[:2], *map(_as_time, fields[2:]))
        except ValueError:
            raise ValueError(
                f"line {number} of {path}: the time {fields[2]!r} is neither a number nor a date "
                "such as 2024-05-31 18:00"
            ) from None


def _as_time(text: str) -> int | float:
    """A number, exact where it is a whole one, or seconds of a date (UTC where it has no zone)."""
    with contextlib.suppress(ValueError):
        return int(text)
    try:
        time = float(text)
    except ValueError:
        date = datetime.datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=datetime.UTC)).timestamp()
    if not math.isfinite(time):
        raise ValueError(text)
    return time
