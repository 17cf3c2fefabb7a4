"""What somebody may have meant by a word that is not known."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Ask about the known word that is most like an unknown one.

    Args:
        word: the unknown one.
        known: the known ones.

    Returns:
        What to append to "unknown ...", with a space before it; "" where none is alike.

    Example:
        >>> did_you_mean("blok", ["block", "random"]), did_you_mean("x", ["block"])
        (" (did you mean 'block'?)", '')
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def nearest_path(path: str, known: Iterable[str]) -> str:
    """Find the dotted or slashed path that is most like an unknown one, in its last part above all.

    Args:
        path: the unknown one, such as "optimizer.learning_rate".
        known: the known ones, at least one.

    Example:
        >>> nearest_path("ratio", ["mask.ratio", "radio"])
        'mask.ratio'
    """

    def similarity(other: str) -> float:
        whole = difflib.SequenceMatcher(None, path, other).ratio()
        return whole + difflib.SequenceMatcher(None, _last(path), _last(other)).ratio()

    return max(known, key=similarity)


def _last(path: str) -> str:
    return path.replace("/", ".").rpartition(".")[2]
