"""Values of flags that absl does not read, or refuses in Python's words.

A key of a config may be None, which is what it is where nobody says anything. A config file may
give it a value, and a flag can read no None for a number.
"""

import re
from collections.abc import Sequence

from maskjax.keys import KEYS


def without_nones(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take what sets keys to None out of a command line.

    Args:
        argv: words such as "--config.stop.value=None", or the two of "--config.stop.value None".

    Returns:
        The other words, and the names of the keys whose last value is None.

    Example:
        >>> without_nones(["train.py", "--config.stop.value=None", "--config.seed=1"])
        (['train.py', '--config.seed=1'], ['stop.value'])
    """
    rest: list[str] = []
    names: list[str] = []
    for word in argv:
        is_value = bool(rest) and word == "None" and _key(rest[-1])[0] and "=" not in rest[-1]
        name, value = _key(f"{rest.pop()}=None" if is_value else word)
        if name in names:
            names.remove(name)
        if value == "None":
            names.append(name)
        else:
            rest.append(word)
    return rest, names


def of_number(message: str) -> str:
    """Say what a flag that is no number must be, in place of Python's words.

    Args:
        message: of the error that parsing raised; others are returned as they are.

    Example:
        >>> of_number("flag --config.seed=a: invalid literal for int() with base 10: 'a'")
        "--config.seed is 'a': it must be a whole number"
    """
    kinds = {"invalid literal for int": "a whole number", "could not convert string": "a number"}
    for words, kind in kinds.items():
        if found := re.match(rf"flag (--\S+?)=(.*): {words}", message):
            return f"{found[1]} is {found[2]!r}: it must be {kind}"
    return message


def _key(word: str) -> tuple[str, str]:
    """Which key that may be None a word sets, and to what; two times "" where it sets none."""
    found = re.fullmatch(r"--?config\.([^=]+)(?:=(.*))?", word, flags=re.DOTALL)
    is_open = found and found[1] in KEYS and KEYS[found[1]].kind is not None
    return (found[1], found[2] or "") if found and is_open else ("", "")
