r"""Texts from outside, such as names of files, as matplotlib can draw them.

They are drawn letter by letter: a `$` begins no formula, and what no font at hand has is written as
its code, `\u732b`, and a byte of a name that is not UTF-8 as `\xfc`.
"""

import functools
import unicodedata
from typing import Any

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.textpath import text_to_path

_OURS = "DejaVu Sans"  # comes with matplotlib
# What has the letters that it lacks; used where installed.
_OTHERS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei",
    "Droid Sans Fallback", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Yu Gothic",
    "Malgun Gothic", "Apple SD Gothic Neo", "Arial Unicode MS",
)  # fmt: skip


@functools.cache
def _letters() -> dict[str, frozenset[int]]:
    """The code points that each font at hand has."""
    installed = {entry.name for entry in fontManager.ttflist}
    families = [_OURS, *(name for name in _OTHERS if name in installed)]
    return {name: frozenset(get_font(findfont(name)).get_charmap()) for name in families}


def _spelt(letter: str) -> str:
    """A letter, or its code where it cannot be seen."""
    is_seen = letter.isprintable() or unicodedata.category(letter) == "Zs" or letter == "\n"
    if is_seen and (letter == "\n" or any(ord(letter) in has for has in _letters().values())):
        return letter
    if "\udc80" <= letter <= "\udcff":  # how Python keeps a byte that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()


def literal(text: str, family: str = "sans-serif") -> dict[str, Any]:
    """Return the arguments of matplotlib's `text` that draw a text as it is.

    Args:
        text: Any characters; a line break begins a new line.
        family: The font to prefer.

    Returns:
        "s", "family" and "parse_math".

    Example:
        >>> literal("$5 M\\udcfcnchen")["s"]
        '$5 M\\\\xfcnchen'
    """
    spelt = "".join(map(_spelt, text))
    return {"s": spelt, "family": [family, *_letters()], "parse_math": False}


def one_line(text: str, most: int) -> str:
    """Spell a text on one line, without its middle where it has more letters than `most`.

    Example:
        >>> one_line("a_very_long_name_of_a_file.png", 16)
        'a_ver…a_file.png'
    """
    spelt = literal(text.replace("\n", "\\n"))["s"]
    if len(spelt) <= most:
        return spelt
    first = most // 3
    return f"{spelt[:first]}…{spelt[first + 1 - most :]}"


def fitting(text: str, fontsize: int | float, inches: float) -> str:
    """Spell a text on one line, without so much of its middle that it fits this width."""
    shown = one_line(text, len(text) + 1)
    most = len(shown)
    while most > 3 and width_of(shown, fontsize) > inches:
        most -= 1
        shown = one_line(text, most)
    return shown


def width_of(text: str, fontsize: int | float) -> float:
    """Return the inches that a line takes at this size in points."""
    properties = FontProperties(family=literal(text)["family"], size=fontsize)
    points = text_to_path.get_text_width_height_descent(literal(text)["s"], properties, False)[0]
    return 1.05 * points / 72  # letters on whole pixels are wider
