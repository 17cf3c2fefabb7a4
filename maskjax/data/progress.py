"""What is shown of slow reading before training begins."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

_DELAY = 3.0  # seconds in which nothing is shown
_INTERVAL = 5.0  # seconds between lines where nobody watches a terminal


def shown(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterator[T]:
    """Iterate, and show on standard error how far, once it has taken some seconds.

    Args:
        items: what to pass on.
        what: is done with them, such as "opening files".
        unit: of one item.
        total: how many there are, None where that is not known.

    Returns:
        The items; a bar is drawn on a terminal, and a line is written now and then elsewhere.
    """
    interval = 0.5 if sys.stderr.isatty() else _INTERVAL
    return iter(
        tqdm(
            items,
            desc=what,
            unit=f" {unit}",
            total=total,
            delay=_DELAY,
            mininterval=interval,
            maxinterval=2 * interval,
            leave=False,
        )
    )
