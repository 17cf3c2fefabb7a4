"""What a model computes of many inputs, as a file: .npz or .csv, one row an input."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskjax.paths import atomic_file

SUFFIXES = (".npz", ".csv")
CLASSES = "classes"


def write_rows(
    path: Path,
    what: str,
    pages: Iterable[tuple[Sequence[str], Any]],
    class_names: Sequence[str] = (),
) -> str:
    """Write an output of all inputs.

    Args:
        path: of one of `SUFFIXES`. A .npz holds the output by its name, or the arrays of a dict by
            theirs, and "inputs"; a .csv a line an input, for "classes" with the likeliest first.
        what: name of the output.
        pages: names of inputs, and their rows: an array [B, ...] or a dict of such.
        class_names: of "classes", in label order; () for numbers.

    Returns:
        The path.

    Raises:
        ValueError: a dict cannot be written as .csv.
    """
    labels: list[str] = []
    parts: list[Mapping[str, np.ndarray]] = []
    for names, rows in pages:
        if isinstance(rows, Mapping) and path.suffix == ".csv":
            raise ValueError(
                f"--output={path}: {what} are arrays of the inputs' shape: write them as .npz, or "
                "draw them as .png"
            )
        labels += names
        parts.append(rows if isinstance(rows, Mapping) else {what: rows})
    tables = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if path.suffix == ".npz":
        names = {"class_names": np.array(class_names)} if what == CLASSES and class_names else {}
        arrays: Any = tables | {"inputs": np.array(labels)} | names
        with atomic_file(path, "wb") as file:
            np.savez(file, **arrays)
    else:
        _write_csv(path, what, labels, tables[what], class_names)
    return str(path)


def _write_csv(
    path: Path, what: str, labels: Sequence[str], table: np.ndarray, class_names: Sequence[str]
) -> None:
    flat = table.reshape(len(table), -1)
    header: list[Any] = list(range(flat.shape[1])) if table.ndim > 1 else [what]
    likeliest: list[list[Any]] = [[] for _ in labels]
    if what == CLASSES:
        header = list(class_names) or header
        likeliest = [[header[place]] for place in flat.argmax(1)]
        header = ["class", *header]
    with atomic_file(path) as file:
        writer = csv.writer(file)
        writer.writerow(["input", *header])
        for label, first, row in zip(labels, likeliest, flat.tolist(), strict=True):
            writer.writerow([label, *first, *row])
