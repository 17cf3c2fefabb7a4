"""Tokenizers of one's own: the same texts give the same one, and it reads them back."""

import json
import random

import pytest

from maskjax.data.text.corpora import Corpus
from maskjax.data.text.files import Text
from maskjax.data.text.training import KINDS, train

SENTENCES = (
    "The cat sat on the mat; the dog sat on the log.",
    "Na\u00efve caf\u00e9s serve 17 cr\u00eapes, unhappily!",
    "low lower lowest, new newer newest, wide wider widest",
)


def corpus(*texts):
    return Corpus("made", lambda: iter([Text(text) for text in texts]), "made")


def many():
    """Words with many ties, which a hash table would break in another way each time."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefgh", k=6)) for _ in range(200)]
    return corpus(*(" ".join(words[i : i + 20]) for i in range(0, 200, 20)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_texts_give_the_same_tokenizer(kind):
    made = {train(many(), kind, 320).text for _ in range(4)}
    assert len(made) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_it_reads_its_texts_back(kind):
    size = 300 if kind == "byte_bpe" else 120
    made = train(corpus(*SENTENCES * 3), kind, size, is_cased=True)
    assert made.vocab_size <= size
    assert made.specials == (4, 0, 2, 3, 1)
    assert made.special_ids == (0, 1, 2, 3, 4)
    assert made.frame == ((2,), (3,), (3,), 1)
    for text, encoded in zip(SENTENCES, made.encode(SENTENCES)):
        assert made.specials.unk not in encoded.ids
        if kind == "byte_bpe":
            assert made.decode(encoded.ids.tolist()) == text
        else:  # these know words, not the white space between them
            squeezed = made.decode(encoded.ids.tolist()).replace(" ", "")
            assert squeezed == text.replace(" ", "")
    words = made.encode(["the lowest"])[0]
    assert words.is_start.sum() == 2


def test_wordpiece_learns_the_merges_that_counts_say():
    """Three times aab, once aac: a ##a is the most frequent pair, then aa ##b."""
    made = train(corpus("aab aab aab aac"), "wordpiece", 5 + 3 + 3 + 2)
    tokens = json.loads(made.text)["model"]["vocab"]
    signs = {"##a": 5, "##b": 6, "##c": 7, "a": 8, "b": 9, "c": 10}
    assert {name: tokens[name] for name in signs} == signs
    assert [tokens["aa"], tokens["aab"]] == [11, 12]


def test_small_letters_unless_capitals_are_wished():
    assert train(corpus("Aa"), "wordpiece", 20).encode(["A"])[0].ids.tolist() == [6]
    assert "A" in train(corpus("Aa"), "wordpiece", 20, is_cased=True).text


def test_a_size_that_characters_exceed_names_the_least():
    with pytest.raises(ValueError, match=r"of 10 tokens: .* characters alone are 11; give as many"):
        train(corpus("abc"), "wordpiece", 10)
    assert train(corpus("abc"), "wordpiece", 11).vocab_size == 11
