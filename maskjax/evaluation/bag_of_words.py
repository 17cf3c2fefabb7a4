"""Logistic regression on which words stand in a text: what a model of their order must beat."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from maskjax.evaluation.classification import Confusion
from maskjax.typing import Bool, Int, Shaped

MOST_TEXTS = 2**17  # that are learned from
_NUMBERS = ("accuracy", "f1_macro")


Judge = Callable[[Sequence[Sequence[str]], Int[np.ndarray, "M"]], dict[str, float]]


def learned(train: Sequence[Sequence[str]], labels: Int[np.ndarray, "N"]) -> Judge:
    """Learn classes of texts by which words stand in them.

    Scikit-learn's `CountVectorizer(binary=True)` and `LogisticRegression` as it comes (L2, C = 1).

    Args:
        train: texts to learn from, words each.
        labels: their classes.

    Returns:
        What judges other texts by their classes: "bag_of_words_accuracy", "bag_of_words_f1_macro";
        {} where one class alone was learned from, or more than `MOST_TEXTS`, or nothing is judged.
    """
    if len(np.unique(labels)) < 2 or len(train) > MOST_TEXTS:
        return lambda judged, true: {}
    from sklearn.feature_extraction.text import CountVectorizer  # slow to import
    from sklearn.linear_model import LogisticRegression

    as_they_are: Any = list  # words
    counter = CountVectorizer(analyzer=as_they_are, binary=True)
    model = LogisticRegression(max_iter=1000).fit(counter.fit_transform(train), labels)

    def judge(judged: Sequence[Sequence[str]], true: Int[np.ndarray, "M"]) -> dict[str, float]:
        if not len(true):
            return {}
        size = 1 + int(max(labels.max(), true.max()))
        counts = np.zeros((size, size))
        np.add.at(counts, (true, model.predict(counter.transform(judged))), 1)
        found = Confusion(counts).numbers("bag_of_words")
        return {name: found[name] for name in (f"bag_of_words_{of}" for of in _NUMBERS)}

    return judge


def words_of(
    pieces: Iterable[tuple[Shaped[np.ndarray, "n"], Bool[np.ndarray, "n"]]],
) -> list[str]:
    """Spell words by the tokens that they are made of, whatever these are.

    Args:
        pieces: of one text, tokens and where words begin.

    >>> words_of([(np.array([7, 8, 9]), np.array([True, False, True]))])
    ['7 8', '9']
    """
    found = []
    for tokens, is_start in pieces:
        cuts = [0, *(np.flatnonzero(is_start[1:]) + 1).tolist(), len(tokens)]
        named = list(map(str, tokens.tolist()))
        found += [" ".join(named[a:b]) for a, b in itertools.pairwise(cuts) if a < b]
    return found
