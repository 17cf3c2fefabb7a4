"""What is said of texts: lines, records and tables."""

import numpy as np

from maskjax.data.text import Bytes, TextProcessor
from maskjax.evaluation import draw_panel
from maskjax.evaluation.panels import UNKNOWN, ClassPanel, Guess, TagPanel
from maskjax.tools import words

UNITS = TextProcessor(Bytes(), 16, "whole")


def tokens_of(text, length=10):
    ids = Bytes().encode([text])[0].ids
    return np.pad(ids, (0, length - len(ids)))[None]


def test_classes_are_said_the_likeliest_first():
    tokens = np.where(np.arange(10) < 2, tokens_of("ab"), UNKNOWN)
    panel = ClassPanel(tokens, np.array([UNKNOWN]), np.array([[0.25, 0.75]]), ("x", "y"))
    assert words.can_say(panel, UNITS)
    assert not words.can_say(panel, object())  # of pictures they are drawn
    ((line, record),) = words.of_panel(panel, UNITS)
    assert line == "y 75.0%, x 25.0%"
    assert record == {"class": "y", "probabilities": {"y": 0.75, "x": 0.25}}
    text = draw_panel(panel, UNITS).texts
    assert "ab" in {each.get_text() for each in text}  # in place of a picture


def test_words_of_entities_are_said_with_their_tags():
    numbers = np.array([[0, UNKNOWN, UNKNOWN, 1, UNKNOWN, 2, *[UNKNOWN] * 4]])
    panel = TagPanel(
        seen=tokens_of("ab c d"),
        is_valid=np.arange(10)[None] < 6,
        true=np.full((1, 10), UNKNOWN),
        predicted=numbers,
        probabilities=np.full((1, 10), 0.5),
        tags=("B-X", "I-X", "O"),
    )
    ((line, record),) = words.of_panel(panel, UNITS)
    assert line == "ab/B-X c/I-X d"
    assert record["entities"] == [{"type": "X", "first": 0, "last": 1, "text": "ab c"}]
    assert record["words"][2] == {"word": "d", "label": "O", "probability": 0.5}
    columns, rows = words.as_table(record)
    assert columns == ("position", "word", "label", "probability")
    assert rows[1] == (1, "c", "I-X", 0.5)


def test_holes_are_told_with_their_guesses():
    record = words._filled(["the", Guess(1, "cat", ["cat", "dog"], [0.75, 0.25])])
    assert record["tokens"] == ["the", None]
    assert record["holes"][0]["guesses"][1] == {"word": "dog", "probability": 0.25}
    assert words.as_table(record)[1] == [(1, "cat", 1, "cat", 0.75), (1, "cat", 2, "dog", 0.25)]
