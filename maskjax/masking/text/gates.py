"""Soft gates of words: m by keywords, regular expressions and tags; on the host."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from maskjax.typing import Float


def word_gate(
    words: Sequence[Any],
    *,
    keywords: Mapping[str, int | float] | None = None,
    patterns: Mapping[str, int | float] | None = None,
    tags: Sequence[Any] | None = None,
    tag_gates: Mapping[str, int | float] | None = None,
    other: int | float = 1.0,
) -> Float[np.ndarray, "*b L"]:
    """How much of each word is seen, by what it is: m of a soft gate for `fill_gate`.

    What a word matches first decides: keywords, then patterns in their order, then its tag.

    Args:
        words: strings [*b, L]: words, tokens or units; shorter texts are filled up with "".
        keywords: m of words as they are spelled.
        patterns: m of regular expressions, which are searched for in each word; "(?i)" lets them
            pass over case, "^" and "$" bind them to its ends.
        tags: the part of speech of each word, or any other tag, in the shape of the words.
        tag_gates: m of tags.
        other: m of all other words.

    Returns:
        m from 0 (hidden) to 1 (seen), float32 in the shape of the words.

    Raises:
        ValueError: words that are no strings or of unequal lengths, tags in another shape or
            without their m, an expression that is none, or an m outside [0, 1].

    Examples:
        >>> words = ["the", "red", "Fox", "ran", "off"]
        >>> tags = ["DET", "ADJ", "NOUN", "VERB", "ADV"]
        >>> word_gate(words, keywords={"the": 0}, patterns={"(?i)^f": 0.5}).tolist()
        [0.0, 1.0, 0.5, 1.0, 1.0]
        >>> word_gate(words, tags=tags, tag_gates={"VERB": 0.25}).tolist()
        [1.0, 1.0, 1.0, 0.25, 1.0]
    """
    array = _strings("words", words)
    if (tags is None) != (tag_gates is None):
        raise ValueError("tags and tag_gates go together: give both, or neither")
    said = {"keywords": keywords or {}, "patterns": patterns or {}, "tag_gates": tag_gates or {}}
    for name, gates in (*said.items(), ("other", {"": other})):
        for key, m in gates.items():
            if not 0 <= m <= 1:
                shown = f"{name}[{key!r}]" if key else name
                raise ValueError(f"{shown} is {m}: give m from 0 (hidden) to 1 (seen)")
    found = np.full(array.shape, other, np.float32)
    if tags is not None:
        of_words = _strings("tags", tags)
        if of_words.shape != array.shape:
            raise ValueError(f"tags of shape {of_words.shape} for words of shape {array.shape}")
        found = _set(found, of_words, said["tag_gates"].get)
    compiled = [(_expression(pattern), m) for pattern, m in said["patterns"].items()]
    first = lambda word: next((m for each, m in compiled if word and each.search(word)), None)  # noqa: E731
    return _set(_set(found, array, first), array, said["keywords"].get)


def _set(found: np.ndarray, strings: np.ndarray, gate: Any) -> Float[np.ndarray, "*b L"]:
    """The gates found so far, but for strings of which `gate` knows an m."""
    kinds, numbers = np.unique(strings, return_inverse=True)
    known = np.array([np.nan if (m := gate(str(each))) is None else m for each in kinds])
    new = known.astype(np.float32)[numbers.reshape(strings.shape)] if kinds.size else found
    return np.where(np.isnan(new), found, new)


def _strings(name: str, values: Sequence[Any]) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} of unequal lengths: fill texts up with ''") from error
    if (array.dtype.kind != "U" and array.size) or not array.ndim:
        raise ValueError(f"{name} hold {array.dtype}: give strings, one a position")
    return array.astype(str)


def _expression(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"patterns: {pattern!r} is no regular expression ({error})") from error
