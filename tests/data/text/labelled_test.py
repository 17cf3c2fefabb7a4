"""Labelled texts that are on every machine, and tokenizers that go on with an encoder."""

import json

import pytest
from tokenizers import Tokenizer

from maskjax import data
from maskjax.data.text import Bytes, TextSettings, docstrings, published_files, read_tokenizer
from maskjax.data.text import names as names_of_source
from maskjax.data.text.docstrings import docstrings as docstrings_corpus
from maskjax.data.text.subwords import Subwords, bytes_json
from maskjax.data.text.training import open_tokenizer, train

SOURCE = b'''
import os
from a.b import (c as d, e)

NUMBER = 3


@wraps(d)
def outer(x, *rest, flag=NUMBER, **more: os.Path):
    """A docstring of several words."""
    local = [x.field for y in rest if e(y)]  # a comment

    def inner(x):
        return local, Kind(x=d.\xc3\xa9)

    text = f"{x.field} and {rest}"
    return inner(lambda z: z + more)


class Kind(os.PathLike):
    def method(self):
        outer = self
        return outer
'''
KINDS = {"a": "argument", "t": "attribute", "c": "class", "f": "function", "i": "import"}


def test_names_are_what_their_scopes_bind():
    found = [
        " ".join(word if tag == "O" else f"{word}/{tag}" for word, tag in words)
        for words in names_of_source.tagged_source(SOURCE)
    ]
    expected = [
        "import os/i",
        "from a/i ./I b/i import ( c/i as d/i , e/i )",
        # What decorates stands before the line of `def`; `NUMBER` and `wraps` are of no kind.
        'def outer/f ( x/a , * rest/a , flag/a = NUMBER , ** more/a : os/i . Path/t ) : "" local = '
        "[ x/a . field/t for y in rest/a if e/i ( y ) ] def inner/f ( x/a ) : return local , "
        'Kind/c ( x/a = d/i . \u00e9/t ) text = ""',
        "class Kind/c ( os/i . PathLike/t ) :",
        "def method/f ( self/a ) : outer = self/a return outer",
    ]
    for line, wanted in zip(found, expected, strict=True):
        for short, kind in KINDS.items():
            wanted = " ".join(
                f"{word[:-2]}/B-{kind}" if word.endswith(f"/{short}") else word
                for word in wanted.split(" ")
            )
        wanted = wanted.replace("./I b/B-import", "./I-import b/I-import")
        assert line.split()[: len(wanted.split())] == wanted.split()
    assert len(found[2].split()) == names_of_source.MOST_WORDS


@pytest.fixture
def few(monkeypatch):
    """Read few modules, for all of them take seconds."""
    modules = [path for path in names_of_source.modules() if path.stem in ("bisect", "heapq")]
    monkeypatch.setattr(names_of_source, "modules", lambda: modules)
    monkeypatch.setattr(docstrings, "MODULES", {"heaps": "heapq.py", "copies": "copy.py"})
    for cache in (names_of_source._texts, docstrings._texts):
        cache.cache_clear()
    yield
    for cache in (names_of_source._texts, docstrings._texts):
        cache.cache_clear()


@pytest.mark.usefixtures("few")
def test_they_are_opened_as_files_are(tmp_path):
    config = {"max_length": 64, "index": str(tmp_path), "layout": "whole"}
    built = data.build({"source": "names", **config}, seed=0, batch_size=2)
    assert {"B-argument", "B-function", "O"} <= {*built.processor.tag_names}
    labelled = data.build({"source": "docstrings", **config}, seed=0, batch_size=2)
    assert labelled.class_names == ("copies", "heaps")
    assert "class" in labelled.in_words
    with pytest.raises(ValueError, match="cuts texts in pieces, and labels are of whole ones"):
        data.build({"source": "docstrings", "index": str(tmp_path)}, seed=0, batch_size=2)


def test_bytes_are_written_as_a_tokenizer_of_the_library():
    made = Tokenizer.from_str(bytes_json())
    text = "A line,\twith \u00e9\u4e2d and\n[MASK] 7\x00\x7f."
    ids = Bytes().encode([text])[0].ids.tolist()
    assert made.encode(text).ids == [2, *ids, 3]
    assert made.encode(text, text).ids == [2, *ids, 3, *ids, 3]


@pytest.mark.usefixtures("few")
def test_a_tokenizer_is_trained_on_another_source_and_taken_from_a_run(tmp_path):
    (tmp_path / "own.txt").write_text("some other words")
    shares = {"validation_fraction": 0.0, "test_fraction": 0.0}
    settings = TextSettings(tokenizer="wordpiece:300:docstrings", index=str(tmp_path), **shares)
    found = open_tokenizer(settings, docstrings_corpus())
    assert found == train(docstrings_corpus(), "wordpiece", 300)
    record = {"data": {"tokenizer": found.describe()}, "config": {}}
    (tmp_path / "config.json").write_text(json.dumps(record))
    assert read_tokenizer(str(tmp_path)) == found
    (tmp_path / "config.json").write_text(json.dumps({"data": {"tokenizer": Bytes().describe()}}))
    assert read_tokenizer(str(tmp_path)) == Bytes()
    files = published_files(found, 64, 2)
    assert Subwords(files["tokenizer.json"]) == found
    said = json.loads(files["tokenizer_config.json"])
    assert (said["mask_token"], said["model_max_length"]) == ("[MASK]", 64)
    assert said["model_input_names"] == ["input_ids", "token_type_ids", "attention_mask"]
