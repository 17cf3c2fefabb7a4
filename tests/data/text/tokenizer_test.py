"""Tokenizers: what others print for known texts, special tokens, frames, and what is refused."""

import json
import pickle
import shlex
import subprocess

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from maskjax.data.text import Bytes, Subwords, read_tokenizer
from maskjax.data.text.subwords import from_description

# The vocabulary and the text of the test of BERT's own tokenizer (google-research/bert).
VOCABULARY = ["[UNK]", "[CLS]", "[SEP]", "want", "##want", "##ed", "wa", "un", "runn", "##ing", ","]


def vocabulary(folder, *more):
    path = folder / "vocab.txt"
    path.write_text("\n".join([*VOCABULARY, *more]) + "\n")
    return path


def test_wordpiece_splits_as_berts_own(tmp_path):
    found = read_tokenizer(str(vocabulary(tmp_path, "[MASK]", "[PAD]")))
    (encoded,) = found.encode(["UNwant\u00e9d,running"])
    assert encoded.ids.tolist() == [7, 4, 5, 10, 8, 9]  # as its test says
    assert encoded.is_start.tolist() == [True, False, False, True, True, False]
    assert found.specials == (11, 12, 1, 2, 0)
    assert found.special_ids == (0, 1, 2, 11, 12)
    assert found.frame == ((1,), (2,), (2,), 1)
    assert found.vocab_size == 13
    assert found.decode([7, 4, 5, 10, 8, 9]) == "unwanted, running"


def test_capitals_stay_where_the_vocabulary_has_them_or_the_folder_says_so(tmp_path):
    path = vocabulary(tmp_path, "[MASK]", "Want")
    assert read_tokenizer(str(path)).encode(["Want want"])[0].ids.tolist() == [12, 3]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    assert read_tokenizer(str(tmp_path)).encode(["Want want"])[0].ids.tolist() == [3, 3]


def roberta(folder):
    """A byte-level tokenizer framed as RoBERTa is, with the lengths that published ones bring."""
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "b", "\u0120a", "\u0120b"]
    made = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, [("\u0120", "a")][:0]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.add_special_tokens(names[:5])
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )  # fmt: skip
    made.enable_truncation(4)
    made.enable_padding(pad_id=1, pad_token="<pad>", length=16)
    made.save(str(folder / "tokenizer.json"))
    return folder


def test_special_tokens_and_frames_are_the_tokenizers_own(tmp_path):
    found = read_tokenizer(str(roberta(tmp_path)))
    assert found.specials == (4, 1, 0, 2, 3)
    assert found.frame == ((0,), (2,), (2, 2), 0)  # <s> A </s> </s> B </s>
    assert found.encode(["ab" * 4])[0].ids.tolist() == [5, 6] * 4  # neither cut nor padded
    (tmp_path / "special_tokens_map.json").write_text('{"mask_token": {"content": "<unk>"}}')
    assert read_tokenizer(str(tmp_path)).specials.mask == 3


def test_bytes_need_no_tokenizer():
    found = Bytes()
    text = "A \u00e9t\u00e9, no! [MASK]"
    encoded = found.encode([text], has_offsets=True)[0]
    expected = [b + 5 for b in "A \u00e9t\u00e9, no! ".encode()] + [4]
    assert encoded.ids.tolist() == expected
    assert found.decode(encoded.ids.tolist()) == text
    # A| |\xc3\xa9 t \xc3\xa9|,| |n o|!| |[MASK]
    starts = [1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1]
    assert encoded.is_start.astype(int).tolist() == starts
    spans = [(0, 1), (1, 2), (2, 3), (2, 3), (3, 4), (4, 5), (4, 5), (5, 6)]
    assert encoded.offsets.tolist()[:8] == [list(span) for span in spans]
    assert encoded.offsets[-1].tolist() == [11, 17]


def test_words_are_found_where_the_tokenizer_splits_none():
    """A BPE without a splitter says that a whole text is one word."""
    names = ["[MASK]", "a", "b", " ", " a", "ab"]
    merges = [(" ", "a"), ("a", "b")]
    made = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, merges))
    (encoded,) = Subwords(made.to_str()).encode(["abb a ab"])
    assert encoded.ids.tolist() == [5, 2, 4, 4, 2]  # ab b _a _a b
    assert encoded.is_start.tolist() == [True, False, True, True, False]


def test_a_tokenizer_is_what_it_does():
    made = Subwords(Tokenizer(models.WordLevel({"[MASK]": 0, "a": 1}, "a")).to_str())
    assert pickle.loads(pickle.dumps(made)) == made
    for each in (made, Bytes()):
        assert from_description(json.loads(json.dumps(each.describe()))) == each


@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("folder", ["plain", "it's $a  folder"])
def test_a_vocabulary_without_a_mask_token_says_how_to_add_one(tmp_path, end, folder):
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / "vocab.txt"
    path.write_text("\n".join(VOCABULARY) + end)
    with pytest.raises(ValueError, match="has no mask token: add one as the last line") as error:
        read_tokenizer(str(path))
    subprocess.run(["sh", "-c", str(error.value).split("`")[1]], check=True)
    assert read_tokenizer(str(path)).specials.mask == len(VOCABULARY)


@pytest.mark.parametrize("name", ["[MASK]", "<hidden>"])
@pytest.mark.parametrize("has_word", [False, True])
def test_a_tokenizer_without_a_mask_token_says_how_to_add_one(tmp_path, name, has_word):
    path = tmp_path / 'it\'s "a" folder' / "tokenizer.json"
    path.parent.mkdir()
    if name != "[MASK]":
        (path.parent / "tokenizer_config.json").write_text(json.dumps({"mask_token": name}))
    words = ["a", "[UNK]", *([name] if has_word else [])]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()  # takes brackets for words
    made.save(str(path))
    wrong = "takes its mask token .* for words" if has_word else "has no mask token: add one"
    with pytest.raises(ValueError, match=wrong) as error:
        read_tokenizer(str(path))
    command = shlex.split(str(error.value).split("`")[1])
    assert command[:2] == ["python", "-c"]
    exec(command[2], {})
    found = read_tokenizer(str(path))
    assert found.specials.mask == 2
    assert found.encode([f"a {name}"])[0].ids.tolist() == [0, 2]


def test_a_vocabulary_may_name_its_mask_token_beside_it(tmp_path):
    (tmp_path / "vocab.txt").write_text("[UNK]\na\n<hidden>\n")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"mask_token": "<hidden>"}))
    assert read_tokenizer(str(tmp_path)).encode(["a <hidden>"])[0].ids.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", b"{}", "is no tokenizer of the library tokenizers"),
        ("vocab.txt", b"[UNK]\na\n[MASK]\na\n", "line 4 of .* has 'a', as line 2 has"),
        ("vocab.txt", b"a\n[MASK]\n", r"has no line \[UNK\]; add one"),
        ("vocab.txt", b"[UNK]\n\xff\n", "is no tokenizer: byte 6 is no UTF-8"),
        ("tokenizer_config.json", b"[1]", "tokenizer_config.json is no JSON object"),
    ],
)
def test_what_is_no_tokenizer_is_refused(tmp_path, name, content, message):
    (tmp_path / "vocab.txt").write_text("[UNK]\n[MASK]\n")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_tokenizer(str(tmp_path))


def test_a_tokenizer_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file; `python launch/tokenize\.py"):
        read_tokenizer(str(tmp_path / "gone.json"))
    with pytest.raises(FileNotFoundError, match=r"neither tokenizer\.json nor vocab\.txt"):
        read_tokenizer(str(tmp_path))
