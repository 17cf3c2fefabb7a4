"""Soft gates of items: how much of each is seen, by how often it occurs or by a table."""

import csv
from collections.abc import Sequence

import numpy as np

from maskjax.data.sources import Source
from maskjax.paths import local_path
from maskjax.typing import Float, Int

FREQUENCIES = "frequencies"


def item_gate(text: str, train: Source, names: Sequence[str]) -> Float[np.ndarray, "V"]:
    """Make `data.gate` of items.

    Args:
        text: "frequencies", "frequencies:EXPONENT", or the path of a table.
        train: the training histories, whose items are counted.
        names: of the items.

    Returns:
        m of each item, float32, from 0 (hidden) to 1 (seen).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: what says no m; the message says what would.
    """
    kind, _, argument = text.partition(":")
    if kind != FREQUENCIES:
        return read_items(text, names)
    try:
        exponent = float(argument or 0.5)
    except ValueError:
        exponent = -1.0
    if not 0 < exponent < np.inf:
        raise ValueError(
            f"data.gate={text!r}: the exponent must be a number above 0, as in {FREQUENCIES}:0.5"
        )
    counts = np.zeros(len(names) + 1, np.int64)
    for number in range(len(train)):
        counts += np.bincount(train[number]["items"], minlength=len(counts))
    return by_frequency(counts[1:], exponent)


def by_frequency(counts: Int[np.ndarray, "V"], exponent: float) -> Float[np.ndarray, "V"]:
    """Let frequent items through less: m = (f_least / f)^exponent.

    Exponent .5 is that by which Mikolov et al. 2013 (word2vec, section 2.3) keep frequent words
    less often.

    Args:
        counts: how often each occurs; what never does counts as the rarest of the others.
        exponent: above 0.

    Returns:
        m, 1 for the rarest.

    >>> by_frequency(np.array([4, 1, 16, 0]), 0.5).tolist()
    [0.5, 1.0, 0.25, 1.0]
    """
    least = counts[counts > 0].min(initial=counts.max())
    return ((least / np.maximum(counts, least)) ** exponent).astype(np.float32)


def read_items(text: str, names: Sequence[str]) -> Float[np.ndarray, "V"]:
    """Read a table of "item,m" lines without a header; items that are not there are seen, m = 1."""
    path, ids = local_path(text, "data.gate"), {name: i for i, name in enumerate(names)}
    if not path.is_file():
        raise FileNotFoundError(
            f"data.gate={text!r}: no such file; give a .csv of item,m lines, or '{FREQUENCIES}'"
        )
    gate = np.ones(len(names), np.float32)
    with path.open(newline="", encoding="utf-8-sig") as file:
        for number, line in enumerate(csv.reader(file), 1):
            if not line:
                continue
            where = f"line {number} of {path}: {','.join(line)!r}"
            if len(line) != 2 or line[0].strip() not in ids:
                such = ", ".join(names[:3])
                raise ValueError(f"{where} is no item and its m; items are {such} ...")
            try:
                m = float(line[1])
            except ValueError:
                m = -1.0
            if not 0 <= m <= 1:
                raise ValueError(f"{where} must end in a number from 0 (hidden) to 1 (seen)")
            gate[ids[line[0].strip()]] = m
    return gate
