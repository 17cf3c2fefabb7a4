"""Names in messages: what was meant by one that is not known, and a few of many."""

import difflib
from collections.abc import Iterable

_NAMED = 5  # of many


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Ask about the known word that is most like an unknown one, whatever its capitals.

    Args:
        word: the unknown one.
        known: the known ones.

    Returns:
        What to append to "unknown ...", with a space before it; "" where none is alike.

    Example:
        >>> did_you_mean("blok", ["block", "random"]), did_you_mean("x", ["block"])
        (" (did you mean 'block'?)", '')
        >>> did_you_mean("RigL", ["rigl", "set"])
        " (did you mean 'rigl'?)"
    """
    known = list(known)
    small = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word, known, n=1)
    near += [small[it] for it in difflib.get_close_matches(word.lower(), list(small), n=1)]
    return f" (did you mean {near[0]!r}?)" if near else ""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name: the nearest known one, then all of them."""
    known = sorted(known)
    return f"unknown {kind} {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}"


def missing_import(what: str, module: str, error: ModuleNotFoundError) -> str:
    """Return the message for a user's module that imports what is not there.

    Args:
        what: names it, as a key of a config and its value.
        module: the module that was imported.
        error: what that raised.
    """
    return (
        f"{what}: the module {module} imports {error.name!r}, which is not there: install it, or "
        "put it on PYTHONPATH"
    )


def nearest_paths(path: str, known: Iterable[str], count: int = 1) -> list[str]:
    """Find dotted or slashed paths that are most like an unknown one, in its last part above all.

    Args:
        path: the unknown one, such as "optimizer.learning_rate".
        known: the known ones.
        count: how many to return at most.

    Example:
        >>> nearest_paths("ratio", ["radio", "mask.ratio", "seed"], 2)
        ['mask.ratio', 'radio']
    """

    def similarity(other: str) -> float:
        whole = difflib.SequenceMatcher(None, path, other).ratio()
        return whole + difflib.SequenceMatcher(None, _last(path), _last(other)).ratio()

    return sorted(known, key=similarity, reverse=True)[:count]


def unknown_path(kind: str, path: str, known: Iterable[str]) -> str:
    """Return the message for an unknown dotted or slashed path: the nearest known one.

    Example:
        >>> unknown_path("config key", "ratio", ["mask.ratio", "seed"])
        "unknown config key 'ratio': did you mean 'mask.ratio'?"
    """
    return f"unknown {kind} {path!r}: did you mean {nearest_paths(path, known)[0]!r}?"


def _last(path: str) -> str:
    return path.replace("/", ".").rpartition(".")[2]


def listed(names: list[str]) -> str:
    """Name the first of many, such as paths of leaves, and say how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return "; ".join(names[:_NAMED]) + more
