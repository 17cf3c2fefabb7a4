"""Tokenizers trained on a corpus: the same texts give the same tokenizer."""

import dataclasses
import functools
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskjax.data.held_out import held, held_shares
from maskjax.data.sources import digest
from maskjax.data.text.corpora import Corpus
from maskjax.data.text.files import Text
from maskjax.data.text.index import folder_of, kept
from maskjax.data.text.index_build import class_numbers
from maskjax.data.text.settings import TextSettings
from maskjax.data.text.subwords import Subwords, Tokenizer, framed, wordpiece_json
from maskjax.data.text.tokenizer import NAMES, Bytes
from maskjax.data.text.tokenizer_files import read_tokenizer
from maskjax.paths import atomic_file
from maskjax.spelling import unknown_name

KINDS = ("wordpiece", "bpe", "byte_bpe")
SPECIALS = tuple(NAMES[name][0] for name in ("pad", "unk", "cls", "sep", "mask"))
_MOST_SIGNS = 1000  # different characters of WordPiece, the most frequent ones (Devlin et al. 2019)
_MOST_TOKENS = 2**20
# Around the characters within a word, and around its last.
_AFFIXES = {"wordpiece": ("##", ""), "bpe": ("", "</w>")}


def open_tokenizer(settings: TextSettings, corpus: Corpus) -> Tokenizer:
    """Make the tokenizer that `data.tokenizer` says; a trained one is kept beside the indexes.

    It is trained on the corpus, or on the source that stands behind its size.
    """
    kind, size, source = [*settings.tokenizer.split(":", 2), "", ""][:3]
    if not settings.tokenizer:
        return Bytes()
    if kind not in KINDS:
        if size.isdecimal() and not Path(settings.tokenizer).exists():
            named = unknown_name("kind", kind, KINDS)
            raise ValueError(f"data.tokenizer={settings.tokenizer!r}: {named}")
        return read_tokenizer(settings.tokenizer)
    if not size.isdecimal():
        raise ValueError(f"data.tokenizer={settings.tokenizer!r}: give its size, as in {kind}:8192")
    if source:
        from maskjax.data.text.sources import corpus_named  # which opens tokenizers

        alone = dataclasses.replace(settings, validation_source="", test_source="")
        corpus = learned_from({"train": corpus_named(source, alone)}, alone)
    key = digest(corpus.identity, f"{kind}:{size}")
    with kept(folder_of(settings.index), f"{key}.json") as path:
        if not path.exists():
            made = train(corpus, kind, int(size))
            with atomic_file(path) as file:
                file.write(made.text)
        return Subwords(path.read_text(encoding="utf-8"))


def learned_from(corpora: Mapping[str, Corpus], settings: TextSettings) -> Corpus:
    """Make the corpus of the training documents alone: what is held out teaches nothing.

    Args:
        corpora: of the splits that a source sets apart, by name.
        settings: say what else is set apart, and which share is held out.

    Returns:
        The training corpus, without the documents that `hold_out` will set apart.
    """
    corpus = corpora["train"]
    sources = [name for name in ("validation", "test") if getattr(settings, f"{name}_source")]
    share = sum(held_shares(settings, {*corpora, *sources}))
    if not share:
        return corpus

    @functools.cache
    def is_learned() -> Sequence[bool]:
        labels = [text.label for text in corpus.read()]
        known = [label for label in labels if label is not None]
        numbers = class_numbers(known, corpus.name)[0] if known else np.zeros(len(labels), int)
        return (~held(numbers, share)).tolist()

    def read() -> Iterator[Text]:
        return itertools.compress(corpus.read(), is_learned())

    identity = digest(corpus.identity, "without held-out documents", share)
    return dataclasses.replace(corpus, read=read, identity=identity)


def train(corpus: Corpus, kind: str, size: int, *, is_cased: bool = False) -> Subwords:
    """Train a tokenizer on the documents of a corpus.

    Args:
        corpus: what to learn from.
        kind: "wordpiece", which splits words as BERT does (Devlin et al. 2019); "bpe" (Sennrich et
            al. 2016), the same with its own merges; "byte_bpe", on bytes (Radford et al. 2019),
            which knows every text and never says [UNK].
        size: most tokens of the vocabulary, the special ones included.
        is_cased: whether capital letters and accents stay; "byte_bpe" keeps them anyway.

    Returns:
        The tokenizer; it does not depend on the number of threads.

    Raises:
        ValueError: an unknown kind, or a size that characters alone exceed.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} of a tokenizer must be one of {KINDS}")
    is_bytes = kind == "byte_bpe"
    made = Tokenizer(models.BPE())
    if is_bytes:
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    else:
        made.normalizer = normalizers.BertNormalizer(lowercase=not is_cased)
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        signs = _signs(corpus, made.normalizer)
    before, behind = _AFFIXES.get(kind, ("", ""))
    # What continues or ends a word is numbered here: left alone, the trainer numbers it in the
    # order of a hash table, another one in each process, and breaks ties by the numbers.
    known = [*SPECIALS, *(before + sign + behind for sign in signs if before or behind)]
    least = len(known) + len(signs)
    if not least <= size <= _MOST_TOKENS:
        raise ValueError(
            f"a tokenizer {kind} of {size} tokens: special tokens and characters alone are {least};"
            f" give as many or more, at most {_MOST_TOKENS}"
        )
    options: dict[str, Any] = {
        "vocab_size": size, "special_tokens": known, "initial_alphabet": signs,
        "limit_alphabet": len(signs), "show_progress": False,
    }  # fmt: skip
    affixes = {"continuing_subword_prefix": before, "end_of_word_suffix": behind}
    options |= {name: affix for name, affix in affixes.items() if affix}
    made.train_from_iterator(_texts(corpus), trainers.BpeTrainer(**options))
    model = json.loads(made.to_str())["model"]
    if kind == "wordpiece":
        return Subwords(wordpiece_json(model["vocab"], not is_cased))
    merges = [tuple(pair) for pair in model["merges"]]
    unk = {} if is_bytes else {"unk_token": NAMES["unk"][0], "end_of_word_suffix": behind}
    made.model = models.BPE(model["vocab"], merges, **unk)
    clean = Tokenizer(made.model)  # of which only the special tokens are special
    clean.pre_tokenizer = made.pre_tokenizer
    if made.normalizer is not None:
        clean.normalizer = made.normalizer
    clean.decoder = decoders.ByteLevel() if is_bytes else decoders.BPEDecoder(behind)
    clean.add_special_tokens(list(SPECIALS))
    return Subwords(framed(clean).to_str())


def _texts(corpus: Corpus) -> Iterator[str]:
    for text in corpus.read():
        yield text.text
        if text.second:
            yield text.second


def _signs(corpus: Corpus, normalizer: Any) -> list[str]:
    """The most frequent characters of a corpus, white space left out, sorted."""
    counts: Counter[str] = Counter()
    for text in _texts(corpus):
        counts.update(normalizer.normalize_str(text))
    found = sorted((-count, sign) for sign, count in counts.items() if not sign.isspace())
    return sorted(sign for _, sign in found[:_MOST_SIGNS])
