"""What a model says of texts and histories: a line for people, a record for programs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from maskjax.evaluation.entities import OUTSIDE, spans
from maskjax.evaluation.metrics import class_names
from maskjax.evaluation.panels import (
    ClassPanel,
    Guess,
    Panel,
    SpellingUnits,
    Tagged,
    TagPanel,
    TextPanel,
    TokenPanel,
    TokenUnits,
    in_texts,
    in_words,
    said,
    tagged_words,
)

_MOST_CLASSES = 5  # of a line


def can_say(panel: Panel, units: Any) -> bool:
    """Whether a panel can be said in words."""
    if isinstance(panel, ClassPanel | TagPanel | TextPanel):
        return isinstance(units, SpellingUnits)
    return isinstance(panel, TokenPanel) and isinstance(units, TokenUnits)


def of_panel(panel: Panel, units: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Say each example of a panel.

    Args:
        panel: one of which `can_say` is true.
        units: name its ids.

    Yields:
        A line, and values that JSON knows.
    """
    if isinstance(panel, TokenPanel):
        for line in in_words(panel, units):
            yield said(line), _filled(line)
    elif isinstance(panel, TextPanel):
        for _, text in in_texts(panel, units):
            yield " ".join(text.split()), {"text": text}
    elif isinstance(panel, TagPanel):
        for words in tagged_words(panel, units):
            yield _tagged_line(words), _tagged(words)
    elif isinstance(panel, ClassPanel):
        for row in np.asarray(panel.probabilities):
            yield of_classes(row, panel.classes)


def of_classes(chances: np.ndarray, classes: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Say which class an example is of.

    >>> of_classes(np.array([0.25, 0.75]), ("bad", "good"))
    ('good 75.0%, bad 25.0%', {'class': 'good', 'probabilities': {'good': 0.75, 'bad': 0.25}})
    """
    names, order = class_names(classes, len(chances)), np.argsort(-chances, kind="stable")
    found = {names[at]: float(chances[at]) for at in order.tolist()}
    line = ", ".join(f"{name} {chance:.1%}" for name, chance in [*found.items()][:_MOST_CLASSES])
    return line, {"class": names[int(order[0])], "probabilities": found}


def _filled(line: Sequence[str | Guess]) -> dict[str, Any]:
    holes = [
        {
            "position": word.position,
            **({"true": word.true} if word.true else {}),
            "guesses": [
                {"word": each, "probability": chance}
                for each, chance in zip(word.words, word.probabilities, strict=True)
            ],
        }
        for word in line
        if isinstance(word, Guess)
    ]
    return {"tokens": [None if isinstance(word, Guess) else word for word in line], "holes": holes}


def _tagged_line(words: Sequence[Tagged]) -> str:
    """Words, those of entities with their tags."""
    return " ".join(
        word.word if word.tag == OUTSIDE else f"{word.word}/{word.tag}" for word in words
    )


def _tagged(words: Sequence[Tagged]) -> dict[str, Any]:
    entities: list[Mapping[str, Any]] = [
        {
            "type": kind,
            "first": first,
            "last": last,
            "text": " ".join(word.word for word in words[first : last + 1]),
        }
        for kind, first, last in spans([word.tag for word in words])
    ]
    listed = [
        {"word": word.word, "label": word.tag, "probability": word.probability} for word in words
    ]
    return {"words": listed, "entities": entities}


def as_table(record: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Lay out a record of `of_panel` as columns and rows.

    >>> as_table({"class": "good", "probabilities": {"good": 0.75, "bad": 0.25}})
    (('class', 'probability'), [('good', 0.75), ('bad', 0.25)])
    """
    if "holes" in record:
        guesses = [
            (hole["position"], hole.get("true", ""), rank, guess["word"], guess["probability"])
            for hole in record["holes"]
            for rank, guess in enumerate(hole["guesses"], 1)
        ]
        return ("position", "true", "rank", "guess", "probability"), guesses
    if "words" in record:
        listed = [
            (at, word["word"], word["label"], word["probability"])
            for at, word in enumerate(record["words"])
        ]
        return ("position", "word", "label", "probability"), listed
    if "text" in record:
        return ("text",), [(record["text"],)]
    return ("class", "probability"), [*record["probabilities"].items()]
