"""A modality of one's own: a source, a processor and settings, and nothing of maskjax changed."""

import dataclasses

import numpy as np
import pytest

from maskjax import data


@dataclasses.dataclass(frozen=True)
class WordSettings(data.Settings):
    max_letters: int = 4


@dataclasses.dataclass(frozen=True)
class Letters:
    length: int
    is_random = False

    @property
    def in_words(self):
        return f"words of up to {self.length} letters"

    def __call__(self, record, rng=None):
        ids = np.zeros(self.length, np.int32)
        letters = [ord(letter) - ord("a") + 1 for letter in record["word"][: self.length]]
        ids[: len(letters)] = letters
        return {"ids": ids}

    def empty(self):
        return {"ids": np.zeros(self.length, np.int32)}

    def collate(self, examples):
        return data.stack(examples)

    def read(self, text):
        yield text, self({"word": text})

    def describe(self):
        return {"max_letters": self.length}


class Words(data.Source):
    def __init__(self, words):
        self._words = words

    def __len__(self):
        return len(self._words)

    def __getitem__(self, index):
        return {"word": self._words[index]}


@pytest.fixture
def words(monkeypatch):
    """Register the modality for the time of a test."""
    modality = data.Modality(
        WordSettings,
        lambda splits, settings, sample: Letters(settings.max_letters),
        lambda description, settings: Letters(description["max_letters"]),
    )
    monkeypatch.setitem(data.MODALITIES, "words", modality)
    monkeypatch.setattr("maskjax.data.sources.SOURCES", dict(data.SOURCES))

    @data.register("words", "words")
    def words(argument, settings):
        return data.Splits(Words(argument.split(",")))

    return {"source": "words:ab,abcdef,c,dd", "validation_fraction": 0.25, "max_letters": 3}


def test_a_modality_of_ones_own_gives_batches(words):
    built = data.build(words, seed=0, batch_size=3)
    assert built.in_words == "3 training and 1 validation words of up to 3 letters, no labels"
    rows = {tuple(ids) for ids in built.examples("train", 3)["ids"].tolist()}
    rows |= {tuple(ids) for ids in built.examples("validation", 1)["ids"].tolist()}
    assert rows == {(1, 2, 0), (1, 2, 3), (3, 0, 0), (4, 4, 0)}
    assert set(next(built.train_batches())) == {"ids", "id", "epoch", "is_valid"}
    assert data.restore(words, built.describe()).processor == built.processor


def test_keys_of_a_modality_are_known_and_those_of_another_are_not(words):
    with pytest.raises(ValueError, match=r"'max_leters' \(did you mean 'max_letters'\?\)"):
        data.build(words | {"max_leters": 3}, seed=0, batch_size=1)
    with pytest.raises(ValueError, match=r"data.size says nothing of examples of 'words"):
        data.build(words | {"size": (3,)}, seed=0, batch_size=1)
    with pytest.raises(ValueError, match=r"'digits' is of another kind than data.source 'words:"):
        data.build(words | {"validation_source": "digits"}, seed=0, batch_size=1)


def test_a_source_that_gives_no_mappings_is_told_what_to_give(words, monkeypatch):
    monkeypatch.setattr(Words, "__getitem__", lambda self, index: (self._words[index], 0))
    with pytest.raises(ValueError, match="of Words is a tuple; a source gives mappings, such as"):
        data.build(words | {"validation_fraction": 0}, seed=0, batch_size=1).examples("train", 1)
