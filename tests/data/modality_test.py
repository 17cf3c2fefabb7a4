"""Sources and modalities of one's own, as the page shows them; nothing of maskjax is changed."""

import re
from pathlib import Path

import pytest

from maskjax import data

FOLDER = Path(data.__file__).parent
PAGE = (FOLDER / "README.md").read_text()


@pytest.fixture
def examples(monkeypatch):
    """What the page defines; what it registers is forgotten after the test."""
    monkeypatch.setattr("maskjax.data.sources.SOURCES", dict(data.SOURCES))
    before = dict(data.MODALITIES)
    found = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, found)
    yield found
    data.MODALITIES.clear()
    data.MODALITIES.update(before)


@pytest.fixture
def words(examples):
    """A config of the page's modality."""
    return {
        "source": "words:ab,abcdef,c,dd",
        "validation_fraction": 0.25,
        "test_fraction": 0,
        "letters": 3,
    }


def test_every_file_is_listed_and_is_there():
    linked = {name.rstrip("/") for name in re.findall(r"\]\((?!\.\.)([\w./]+)\)", PAGE)}
    files = {path.name for path in FOLDER.iterdir() if not path.name.startswith("__")}
    assert linked == files - {"README.md"}


def test_every_source_is_listed():
    table = PAGE[PAGE.index("## Sources") : PAGE.index("To prepare a TFDS")]
    assert set(re.findall(r"`(\w+)(?:[:[][^`]*)?`", table)) >= set(data.SOURCES)


def test_a_source_of_ones_own_is_found_by_its_name(examples):
    built = data.build({"source": "ramps:16"}, seed=0, batch_size=4)
    assert (built.shape, built.num_classes, built.num_train) == ((16, 16, 1), 2, 80)


def test_a_modality_of_ones_own_gives_batches(words):
    built = data.build(words, seed=0, batch_size=3)
    assert built.in_words == "3 training and 1 validation words of up to 3 letters, no labels"
    rows = {tuple(ids) for ids in built.examples("train", 3)["ids"].tolist()}
    rows |= {tuple(ids) for ids in built.examples("validation", 1)["ids"].tolist()}
    assert rows == {(1, 2, 0), (1, 2, 3), (3, 0, 0), (4, 4, 0)}
    assert set(next(built.train_batches())) == {"ids", "id", "epoch", "is_valid"}
    assert data.restore(words, built.describe()).processor == built.processor


def test_keys_of_a_modality_are_known_and_those_of_another_are_not(words):
    with pytest.raises(ValueError, match=r"'leters' \(did you mean 'letters'\?\)"):
        data.build(words | {"leters": 3}, seed=0, batch_size=1)
    with pytest.raises(ValueError, match=r"data.size says nothing of examples of 'words"):
        data.build(words | {"size": (3,)}, seed=0, batch_size=1)
    with pytest.raises(ValueError, match=r"'digits' is of another kind than data.source 'words:"):
        data.build(words | {"validation_source": "digits"}, seed=0, batch_size=1)


def test_a_source_that_gives_no_mappings_is_told_what_to_give(words, examples, monkeypatch):
    monkeypatch.setattr(
        examples["Words"], "__getitem__", lambda self, index: (self.words[index], 0)
    )
    with pytest.raises(ValueError, match="of Words is a tuple; a source gives mappings, such as"):
        data.build(
            words | {"validation_fraction": 0, "test_fraction": 0}, seed=0, batch_size=1
        ).examples("train", 1)
