"""Soft gates of words against a loop, and what is refused."""

import re

import numpy as np
import pytest

from maskjax.masking import text

WORDS = [["The", "cat", "sat", "on", ""], ["the", "Cat's", "23", "hat", "!"]]
TAGS = [["DET", "NOUN", "VERB", "ADP", ""], ["DET", "NOUN", "NUM", "NOUN", "PUNCT"]]
KEYWORDS, TAG_GATES = {"the": 0.0, "hat": 1.0}, {"NOUN": 0.25, "VERB": 0.5, "": 0.75}
PATTERNS = {"(?i)^cat$": 0.125, "at": 0.375, "[0-9]": 0.625, ".*": 0.875}


def test_keywords_come_before_patterns_in_their_order_and_those_before_tags():
    for patterns in (PATTERNS, dict(list(PATTERNS.items())[:3]), {}):
        expected = np.empty((2, 5))
        for b, row in enumerate(WORDS):
            for i, word in enumerate(row):
                m = 1.0
                if TAGS[b][i] in TAG_GATES:
                    m = TAG_GATES[TAGS[b][i]]
                for pattern in reversed(patterns):
                    if word and re.search(pattern, word):
                        m = patterns[pattern]
                if word in KEYWORDS:
                    m = KEYWORDS[word]
                expected[b, i] = m
        options = {"keywords": KEYWORDS, "patterns": patterns, "tags": TAGS}
        found = text.word_gate(WORDS, **options, tag_gates=TAG_GATES)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_other_words_have_the_m_of_others():
    assert text.word_gate(["a", "b"], keywords={"a": 1}, other=0.5).tolist() == [1, 0.5]
    assert text.word_gate([]).shape == (0,)


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["a"], {"keywords": {"a": 1.5}}, r"keywords\['a'\] is 1.5: give m from 0"),
        (["a"], {"patterns": {"a": float("nan")}}, r"patterns\['a'\] is nan: give m from 0"),
        (["a"], {"other": -1}, "other is -1: give m from 0"),
        (["a"], {"patterns": {"(": 1}}, r"'\(' is no regular expression"),
        (["a"], {"tags": ["X"]}, "tags and tag_gates go together"),
        (["a"], {"tags": ["X", "Y"], "tag_gates": {}}, r"tags of shape \(2,\) for words of shape"),
        ([["a"], ["a", "b"]], {}, "words of unequal lengths: fill texts up with ''"),
        ([3], {}, "words hold int64: give strings"),
        ("abc", {}, "words hold <U3: give strings, one a position"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_says_no_m_is_refused(words, options, message):
    with pytest.raises(ValueError, match=message):
        text.word_gate(words, **options)
