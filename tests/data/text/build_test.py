"""Texts through the door that training uses."""

import json
import pickle

import numpy as np
import pytest
from absl import logging

from maskjax import data
from maskjax.data.text import prose

# Ids: [PAD] [UNK] [CLS] [SEP] [MASK] a b c d ##e
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "d", "##e"]
PAD, UNK, CLS, SEP, MASK, A, B, C, D, E = range(10)
CONTENT = "a b c d a b\n\nc c\n\nd x [MASK]\n\na ae aee b\n\nb\n"


def build(folder, content=CONTENT, name="texts.txt", kind="text", **config):
    (folder / name).write_text(content)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    config = {
        "source": f"{kind}:{folder / name}", "tokenizer": str(folder / "vocab.txt"),
        "max_length": 10, "index": str(folder / "index"),
        "validation_fraction": 0, "test_fraction": 0, **config,
    }  # fmt: skip
    return data.build(config, seed=0, batch_size=config.pop("batch_size", 2))


def test_packed_rows_hold_whole_documents_in_segments(tmp_path):
    built = build(tmp_path)
    assert built.in_words == "4 training packed rows of up to 10 of 10 tokens, no labels"
    (batch,) = built.eval_batches("train", 4)
    assert batch["tokens"].tolist() == [
        [CLS, A, B, C, D, A, B, SEP, PAD, PAD],
        [CLS, C, C, SEP, CLS, D, UNK, MASK, SEP, PAD],
        [CLS, A, A, E, A, E, E, B, SEP, PAD],
        [CLS, B, SEP, *[PAD] * 7],
    ]
    assert batch["segment_ids"].tolist()[:2] == [
        [1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 2, 2, 2, 2, 2, 0],
    ]
    assert batch["positions"].tolist()[1] == [0, 1, 2, 3, 0, 1, 2, 3, 4, 0]
    assert batch["word_ids"].tolist()[1] == [-1, 0, 1, -1, -1, 2, -1, -1, -1, -1]
    assert batch["is_special"].tolist()[1] == [i not in (1, 2, 5) for i in range(10)]
    assert {name: x.dtype for name, x in batch.items() if x.ndim == 2} == {
        "tokens": np.int32, "segment_ids": np.int32, "positions": np.int32,
        "word_ids": np.int32, "is_special": np.bool_,
    }  # fmt: skip


def test_padded_rows_hold_one_piece_and_no_text_is_lost(tmp_path):
    built = build(tmp_path, max_length=8, layout="padded")
    (batch,) = built.eval_batches("train", 6)
    texts = [[i for i in row if i > MASK] for row in batch["tokens"].tolist()]
    # Of the last but one six tokens fit, and behind them a word begins.
    assert texts == [[A, B, C, D, A, B], [C, C], [D], [A, A, E, A, E, E], [B], [B]]
    assert batch["segment_ids"].max() == 1
    words = [row[row >= 0].tolist() for row in batch["word_ids"]]
    assert words == [[0, 1, 2, 3, 4, 5], [0, 1], [0], [0, 1, 1, 2, 2, 2], [0], [0]]


def test_joined_rows_cross_documents_because_it_was_asked(tmp_path):
    built = build(tmp_path, layout="joined")
    (batch,) = built.eval_batches("train", 3)
    assert batch["tokens"].tolist()[:2] == [
        [CLS, A, B, C, D, A, B, SEP, C, SEP],
        [CLS, C, SEP, D, UNK, MASK, SEP, A, A, SEP],
    ]
    assert batch["segment_ids"].tolist()[0] == [1] * 10
    assert batch["positions"].tolist()[0] == list(range(10))


def test_special_tokens_and_padding_are_never_free_to_hide(tmp_path):
    for layout in ("packed", "padded", "joined", "whole"):
        for batch in build(tmp_path, layout=layout).eval_batches("train", 2):
            is_word = ~batch["is_special"]
            assert (batch["tokens"][is_word] > MASK).all()
            assert (batch["tokens"][~is_word] <= MASK).all()
            assert ((batch["word_ids"] >= 0) == is_word).all()
            assert (batch["segment_ids"][is_word] > 0).all()


def test_splits_are_by_document(tmp_path):
    texts = [" ".join([letter] * 3) for letter in "abcd" * 10]
    built = build(tmp_path, "\n\n".join(texts), validation_fraction=0.2, test_fraction=0.2)
    counts = {}
    for split in ("train", "validation", "test"):
        tokens = np.concatenate([b["tokens"].ravel() for b in built.eval_batches(split, 4)])
        counts[split] = int((tokens > MASK).sum())
    assert counts == {"train": 72, "validation": 24, "test": 24}


def test_workers_and_seeking_give_the_same_batches(tmp_path):
    def batches(count, **config):
        stream = build(tmp_path, **config).train_batches(start_step=3)
        return [next(stream) for _ in range(count)]

    here, there = batches(4), batches(4, num_workers=4)
    whole = build(tmp_path).train_batches()
    straight = [next(whole) for _ in range(7)][3:]
    for one, other, third in zip(here, there, straight):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
            np.testing.assert_array_equal(one[name], third[name])
    assert here[0]["epoch"].tolist() == [1, 1]  # of 4 rows


TABLE = "text,other,label\na b c d a b c,b,good\na,c d,bad\nb c,d,good\n"


def test_labelled_texts_are_whole_and_cut_off_at_the_end(tmp_path):
    config = {"kind": "csv", "name": "t.csv", "layout": "whole", "label_column": "label"}
    built = build(tmp_path, TABLE, max_length=8, **config)
    assert built.class_names == ("bad", "good")
    (batch,) = built.eval_batches("train", 3)
    assert batch["label"].tolist() == [1, 0, 1]
    assert batch["tokens"][0].tolist() == [CLS, A, B, C, D, A, B, SEP]
    assert "token_types" not in batch


def test_pairs_have_types_and_the_longer_one_is_cut(tmp_path):
    config = {"kind": "csv", "name": "t.csv", "layout": "whole", "pair_column": "other"}
    (batch,) = build(tmp_path, TABLE, max_length=8, **config).eval_batches("train", 3)
    assert batch["tokens"][:2].tolist() == [
        [CLS, A, B, C, D, SEP, B, SEP],
        [CLS, A, SEP, C, D, SEP, PAD, PAD],
    ]
    assert batch["token_types"][:2].tolist() == [
        [0, 0, 0, 0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1, 1, 0, 0],
    ]
    assert batch["segment_ids"][1].tolist() == [1, 1, 1, 1, 1, 1, 0, 0]


TAGGED = "a B-X\nae I-X\nb O\n\nc O\n\nd B-X\na I-X\n\nb O\n"


def test_tags_stand_at_the_first_piece_of_each_word(tmp_path):
    built = build(tmp_path, TAGGED, kind="conll", layout="whole", max_length=8)
    assert built.processor.tag_names == ("B-X", "I-X", "O")
    (batch,) = built.eval_batches("train", 4)
    assert batch["tokens"][0].tolist() == [CLS, A, A, E, B, SEP, PAD, PAD]
    assert batch["token_labels"][0].tolist() == [-1, 0, 1, -1, 2, -1, -1, -1]


def test_tags_of_another_file_are_numbered_as_those_of_training(tmp_path):
    (tmp_path / "other.conll").write_text("a O\nb I-X\n")
    config = {"kind": "conll", "layout": "whole", "max_length": 8}
    other = f"conll:{tmp_path / 'other.conll'}"
    built = build(tmp_path, TAGGED, validation_source=other, **config)
    (batch,) = built.eval_batches("validation", 1)
    assert batch["token_labels"][0, :4].tolist() == [-1, 2, 1, -1]
    (tmp_path / "other.conll").write_text("a O\n\nb B-Y\n")
    with pytest.raises(ValueError, match=r"line 3 of .*other.conll has the tag 'B-Y' .* no train"):
        build(tmp_path, TAGGED, validation_source=other, **config)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_labels_that_training_lacks_are_named_by_their_line(tmp_path, kind):
    labels = ["x"] * 12 + ["y"] * 12 + ["rare"]
    lines = {
        "csv": ["text,label", *(f"a,{label}" for label in labels)],
        "jsonl": [json.dumps({"text": "a", "label": label}) for label in labels],
    }[kind]
    config = {"kind": kind, "name": "t", "layout": "whole", "label_column": "label"}
    config |= {"validation_fraction": 0.5, "test_fraction": 0.4}
    with pytest.raises(ValueError, match=rf"line {len(lines)} of .*t has the label 'rare' and is"):
        build(tmp_path, "\n".join(lines), **config)


def test_what_is_described_reads_texts_of_ones_own(tmp_path):
    built = build(tmp_path)
    described = json.loads(json.dumps(built.describe()))
    processor = data.restore({"source": "text:gone.txt"}, described).processor
    assert processor == built.processor == pickle.loads(pickle.dumps(built.processor))
    ((name, example),) = processor.read(" A [MASK] d")
    assert name == " A [MASK] d"
    batch = data.batch_of(processor, [example], 2)
    assert batch["tokens"][0].tolist() == [CLS, A, MASK, D, SEP] + [PAD] * 5
    assert batch["is_special"][0].tolist() == [True, False, True, False] + [True] * 6
    assert batch["segment_ids"].sum(1).tolist() == [5, 0]
    (tmp_path / "mine").write_text("a\n\nb\n")
    assert [name for name, _ in processor.read(str(tmp_path / "mine"))] == ["line 1", "line 3"]
    for text, message in (
        ("a " * 9, "has 9 tokens, and the model reads 8"),
        (" ", "give a text"),
        ("a \udce9", "the text has .* at character 3"),  # as a shell gives what is no UTF-8
        (str(tmp_path), "is a folder: give its files"),
        (str(tmp_path / "gone.txt"), "gone.txt: there is no such file"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            list(processor.read(text))


def test_what_is_left_out_of_a_whole_text_is_said_and_no_hole_is(tmp_path, monkeypatch):
    said = []  # each time, and not the first few times of a process
    say = lambda level, message, count, *given: said.append(message % given)  # noqa: E731
    monkeypatch.setattr(logging, "log_first_n", say)
    own = {"kind": "csv", "layout": "whole", "content": "text,pair\n" + "a b,c d\n" * 4}
    for pair, text in (("", "a " * 9), ("pair", "a " * 4 + "\t" + "b " * 5)):
        processor = build(tmp_path, **own, pair_column=pair).processor
        list(processor.read("a b" + "\tc d" * bool(pair)))
        assert not said
        ((_, example),) = processor.read(text)
        assert (example["segment_ids"] > 0).all()
        assert f"has 9 tokens, and the model reads {7 if pair else 8} " in said.pop()
        with pytest.raises(ValueError, match=r"has 10 tokens, .*: cut it"):
            list(processor.read(text + "[MASK]"))


@pytest.fixture
def few_modules(monkeypatch):
    """Read few modules, for all of them take seconds."""
    modules = prose._modules()[:9]
    monkeypatch.setattr(prose, "_modules", lambda: modules)
    prose._texts.cache_clear()
    yield
    prose._texts.cache_clear()


@pytest.mark.usefixtures("few_modules")
def test_prose_is_on_every_machine_and_says_nothing_twice(tmp_path):
    config = {"source": "prose", "max_length": 256, "index": str(tmp_path)}
    built = data.build(config, seed=0, batch_size=8)
    assert min(built.num_train, built.num_validation, built.num_test) > 50
    (batch,) = built.eval_batches("validation", 64, limit=64)
    assert "the" in built.processor.tokenizer.decode(batch["tokens"].ravel().tolist()).split()
    paragraphs = [part for text in prose._texts() for part in text.text.split("\n\n")]
    assert len({" ".join(part.split()) for part in paragraphs}) == len(paragraphs)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"max_length": 7}, "data.max_length=7 must be at least 8"),
        ({"layout": "loose"}, "data.layout='loose' must be one of"),
        ({"document": "page"}, "data.document='page' must be one of"),
        ({"kind": "csv", "label_column": "x"}, "data.label_column='x' is of whole texts.*'whole'"),
        ({"layout": "whole", "label_column": "x"}, "says nothing of text:.*leave it at ''"),
        ({"bad_files": "skip"}, "texts are all read or refused"),
        ({"kind": "conll"}, "data.layout='packed' cuts texts in pieces, and tags"),
        ({"tokenizer": "wordpiece"}, "data.tokenizer='wordpiece': give its size, as in"),
        ({"tokenizer": "wordpeice:90"}, r"unknown kind 'wordpeice' \(did you mean 'wordpiece'"),
        ({"tokenizer": "wordpiece:90:digits"}, "'digits' is no source of texts: take one of text:"),
        ({"batch_size": 9}, "has 4 training examples, fewer than batch_size=9"),
        ({"kind": "prose", "source": "prose:x"}, "nothing follows the name"),
        ({"source": "text:/no/such"}, "there is no file /no/such"),
        ({"flip": True}, "data.flip says nothing of examples of 'text:"),
    ],
)  # fmt: skip
def test_wrong_settings_name_the_key(tmp_path, config, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        build(tmp_path, **config)


def test_tokenizers_trained_apart_are_refused(tmp_path):
    (tmp_path / "other.txt").write_text("a quite different text")
    config = {"tokenizer": "wordpiece:200", "validation_source": f"text:{tmp_path / 'other.txt'}"}
    with pytest.raises(ValueError, match="validation and training texts have tokenizers"):
        build(tmp_path, **config)


@pytest.mark.parametrize("kind", ["text", "csv"])
def test_what_is_held_out_teaches_no_tokenizer(tmp_path, kind):
    """Every document has a letter of its own: those of held-out ones are unknown."""
    letters = [chr(ord("a") + number) for number in range(26)]
    config = {"tokenizer": "wordpiece:60", "validation_fraction": 0.2, "test_fraction": 0.2}
    content = "\n\n".join(f"{letter} {letter}" for letter in letters)
    if kind == "csv":  # held out class by class
        rows = [f"{letter} {letter},{number % 3}" for number, letter in enumerate(letters)]
        content = "\n".join(["text,label", *rows])
        config |= {"layout": "whole", "label_column": "label"}
    built = build(tmp_path, content, kind=kind, **config)
    for split in ("train", "validation", "test"):
        for batch in built.eval_batches(split, 4):
            words = batch["tokens"][~batch["is_special"] | (batch["tokens"] == UNK)]
            assert (words == UNK).all() == (split != "train")
            assert (words == UNK).any() == (split != "train")


def test_words_have_the_kind_whose_expression_is_found_in_them_first(tmp_path):
    kinds = (("ends in e", "e$"), ("a or b", "[ab]"))
    built = build(tmp_path, kinds=kinds)
    assert built.processor.kind_names == ("ends in e", "a or b")
    (batch,) = built.eval_batches("train", 4)
    assert batch["tokens"][2].tolist()[:8] == [CLS, A, A, E, A, E, E, B]
    assert batch["kinds"][2].tolist() == [0, 2, 1, 1, 1, 1, 1, 2, 0, 0]
    assert batch["kinds"][1].tolist() == [0] * 10  # c c, d x [MASK]


def test_kinds_of_words_are_a_column_that_need_not_be_tags(tmp_path):
    content = "a DET\nae NOUN\nb VERB\n\nc VERB\n"
    config = {"kind": "conll", "layout": "whole", "max_length": 8, "kind_column": 2}
    (batch,) = build(tmp_path, content, **config).eval_batches("train", 2)
    assert batch["kinds"].tolist() == [[0, 1, 2, 2, 3, 0, 0, 0], [0, 3, 0, 0, 0, 0, 0, 0]]
    assert "token_labels" not in batch
    content = "a DET B-X\nae NOUN O\n\nc VERB O\n"
    (batch,) = build(tmp_path, content, **config).eval_batches("train", 2)
    assert batch["kinds"][0].tolist()[:4] == [0, 1, 2, 2]
    assert batch["token_labels"][0].tolist()[:4] == [-1, 0, 1, -1]
    with pytest.raises(ValueError, match=r"data.kind_column=4: line 1 of .* has 3 columns"):
        build(tmp_path, content, **(config | {"kind_column": 4}))


def test_rows_of_a_batch_are_of_one_bucket_and_each_comes_once_an_epoch(tmp_path):
    sizes = [1, 3, 7, 12, 2, 5, 20, 1, 9, 4, 15, 6, 14, 3] * 2  # and [CLS] and [SEP]
    content = "\n\n".join(" ".join(["a"] * size) for size in sizes)
    config = {"layout": "padded", "max_length": 24, "buckets": (8, 16), "batch_size": 3}
    built = build(tmp_path, content, **config)
    stream, seen = built.train_batches(), {}
    whole = [next(stream) for _ in range(28)]  # three epochs of 28 rows
    for batch in whole:
        lengths = batch["tokens"].shape[1]
        needs = (batch["segment_ids"] > 0).sum(1)
        assert {(8, 16, 24)[np.searchsorted((8, 16, 24), n)] for n in needs} == {lengths}
        assert {x.shape[1] for x in batch.values() if x.ndim == 2} == {lengths}
        for i, epoch in zip(batch["id"].tolist(), batch["epoch"].tolist()):
            seen.setdefault(i, []).append(epoch)
    assert all(epochs == list(range(len(epochs))) for epochs in seen.values())
    assert {len(epochs) for epochs in seen.values()} == {3}
    assert built.num_shapes == 3
    later = build(tmp_path, content, num_workers=2, **config).train_batches(start_step=11)
    for one, other in zip(whole[11:14], later):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    with pytest.raises(ValueError, match="only 4 training examples are of up to 24 tokens"):
        build(tmp_path, content, **(config | {"batch_size": 7}))
