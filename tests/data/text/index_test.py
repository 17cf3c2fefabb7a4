"""The index on disk: built once and as a whole, read in place."""

import pickle
import threading

import numpy as np
import pytest

from maskjax.data.text import Bytes, Subwords
from maskjax.data.text.corpora import Corpus
from maskjax.data.text.files import Text
from maskjax.data.text.index import open_index
from maskjax.data.text.index_build import tags_of


class Told(Corpus):
    """Texts, and how often they were read."""

    def __init__(self, *texts, identity="told"):
        self.count = 0

        def read():
            self.count += 1
            yield from (text if isinstance(text, Text) else Text(text) for text in texts)

        super().__init__("told", read, identity)


def words(*names):
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({name: i for i, name in enumerate(["[MASK]", *names])}, "a"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return Subwords(made.to_str())


def test_it_holds_the_tokens_of_every_document(tmp_path):
    index = open_index(Told("a b", "", "b b c"), words("a", "b", "c"), str(tmp_path))
    assert index.tokens.tolist() == [1, 2, 2, 2, 3]
    assert index.tokens.dtype == np.uint16
    assert index.offsets.tolist() == [0, 2, 2, 5]
    assert index.is_start.tolist() == [True] * 5
    assert (index.labels, index.seconds, index.tags) == (None, None, None)


def test_large_vocabularies_take_four_bytes(tmp_path):
    tokenizer = words(*(f"w{i}" for i in range(70_000)), "a")
    index = open_index(Told("w69999 a"), tokenizer, str(tmp_path))
    assert index.tokens.dtype == np.uint32
    assert index.tokens.tolist() == [70_000, 70_001]


def test_it_is_built_once(tmp_path):
    corpus, tokenizer = Told("a b"), words("a", "b")
    for _ in range(3):
        index = open_index(corpus, tokenizer, str(tmp_path))
    assert corpus.count == 1
    assert index.key != open_index(corpus, Bytes(), str(tmp_path)).key
    other = Told("b a", identity="other")
    assert open_index(other, tokenizer, str(tmp_path)).tokens.tolist() == [2, 1]
    copy = pickle.loads(pickle.dumps(index))
    assert (len(pickle.dumps(index)) < 1000, copy.tokens.tolist()) == (True, [1, 2])


def test_those_who_ask_at_once_wait_for_the_first(tmp_path):
    corpus, found = Told("a b"), []

    def ask():
        found.append(open_index(corpus, words("a", "b"), str(tmp_path)).tokens.tolist())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (corpus.count, found) == (1, [[1, 2]] * 4)


def test_what_fails_on_the_way_leaves_no_index(tmp_path):
    def broken():
        yield Text("a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_index(Corpus("told", broken, "told"), words("a"), str(tmp_path))
    assert open_index(Told("a a"), words("a"), str(tmp_path)).tokens.tolist() == [1, 1]


def test_classes_are_sorted_by_name_and_numbers_by_value(tmp_path):
    def labelled(*labels):
        texts = [Text("a", label=label) for label in labels]
        index = open_index(Told(*texts, identity=" ".join(labels)), words("a"), str(tmp_path))
        return index.class_names, index.labels.tolist()

    assert labelled("x", "b", "x") == (("b", "x"), [1, 0, 1])
    assert labelled("10", "9", "2") == (("2", "9", "10"), [2, 1, 0])


def test_pairs_say_where_the_second_begins(tmp_path):
    texts = [Text("a b", second="c"), Text("a", second="b c")]
    index = open_index(Told(*texts), words("a", "b", "c"), str(tmp_path))
    assert index.tokens.tolist() == [1, 2, 3, 1, 2, 3]
    assert index.seconds.tolist() == [2, 1]


def test_tags_stand_at_the_first_token_of_a_word(tmp_path):
    text = Text("ab c", tags=((0, 2, "O"), (3, 4, "B-X")))
    index = open_index(Told(text), Bytes(), str(tmp_path))
    assert index.tag_names == ("B-X", "O")
    assert index.tags.tolist() == [1, -1, -1, 0]


def test_tags_find_tokens_that_take_the_white_space_before_them():
    # Tokens "N", "ew", " York", "ers"; words New (0-3) and Yorkers (4-11).
    offsets = np.array([[0, 1], [1, 3], [3, 8], [8, 11]])
    assert tags_of(offsets, np.array([[0, 3], [4, 11]]), [5, 6]).tolist() == [5, -1, 6, -1]
    # A word of which the tokenizer left nothing has no token.
    offsets = np.array([[0, 1], [4, 5]])
    assert tags_of(offsets, np.array([[0, 1], [2, 3], [4, 5]]), [5, 6, 7]).tolist() == [5, 7]


def test_a_corpus_of_nothing_and_a_folder_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'told' has no text"):
        open_index(Told(""), words("a"), str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"set data\.index to a folder that can be written to"):
        open_index(Told("a"), words("a"), str(tmp_path / "file" / "below"))
