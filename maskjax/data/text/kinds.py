"""Kinds of words: by regular expressions, or as a file says them, such as parts of speech."""

import itertools
import re
from collections.abc import Sequence

import numpy as np

from maskjax.data.text.subwords import Tokenizer
from maskjax.typing import Bool, Int, Shaped

_MOST_KNOWN = 2**18  # words whose kinds are remembered


class KindsOfWords:
    """Numbers the kind of each word: the first whose expression is found in it, from 1.

    Args:
        tokenizer: spells the words; one that takes capitals away has words without.
        expressions: one a kind.
    """

    def __init__(self, tokenizer: Tokenizer, expressions: Sequence[str]):
        self._tokenizer = tokenizer
        self._expressions = [re.compile(each) for each in expressions]
        self._known: dict[tuple[int, ...], int] = {}

    def __call__(
        self, tokens: Shaped[np.ndarray, "n"], is_start: Bool[np.ndarray, "n"]
    ) -> Int[np.ndarray, "n"]:
        """Number the kinds of the words of a piece, at all of their tokens; 0 for none."""
        ids, cuts = tokens.tolist(), [*np.flatnonzero(is_start).tolist(), len(tokens)]
        kinds = [self._kind(tuple(ids[a:b])) for a, b in itertools.pairwise(cuts)]
        return np.repeat(np.array(kinds, np.int32), np.diff(cuts))

    def _kind(self, ids: tuple[int, ...]) -> int:
        if ids not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            word = self._tokenizer.decode(ids).strip()
            matches = (i for i, each in enumerate(self._expressions, 1) if each.search(word))
            self._known[ids] = next(matches, 0)
        return self._known[ids]


def spread(numbers: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
    """Give all tokens up to the next word the kind of the first, from 1; 0 before any.

    >>> spread(np.array([-1, 1, -1, 0])).tolist()
    [0, 2, 2, 1]
    """
    last = np.maximum.accumulate(np.where(numbers < 0, 0, np.arange(len(numbers))))
    return numbers[last] + 1
