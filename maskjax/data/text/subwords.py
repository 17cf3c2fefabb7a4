"""Tokenizers of the library `tokenizers`: WordPiece, BPE, byte-level BPE and others."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from maskjax.data.text.tokenizer import NAMES, Bytes, Encoded, Frame, Specials


@dataclasses.dataclass(frozen=True)
class Subwords:
    """A tokenizer of the library `tokenizers`.

    Attributes:
        text: its tokenizer.json.
        named: names of its special tokens, by what they are for, where they are told.
    """

    text: str
    named: tuple[tuple[str, str], ...] = ()

    def __reduce__(self):
        return type(self), (self.text, self.named)

    @functools.cached_property
    def _tokenizer(self) -> Any:
        import tokenizers  # half a second

        found = tokenizers.Tokenizer.from_str(self.text)
        found.no_truncation()  # published ones come with the lengths that they were used at
        found.no_padding()
        return found

    @functools.cached_property
    def vocab_size(self) -> int:
        """The largest id, and 1."""
        return max(self._tokenizer.get_vocab().values()) + 1

    @functools.cached_property
    def specials(self) -> Specials:
        """Ids of special tokens, as they are told or by the names that are usual."""
        told = dict(self.named)
        ids = {}
        for purpose, names in NAMES.items():
            names = (told[purpose],) if purpose in told else names
            found = [self._tokenizer.token_to_id(name) for name in names]
            ids[purpose] = next((i for i in found if i is not None), None)
        if ids["mask"] is None:
            raise ValueError("it has no mask token")
        return Specials(**ids)

    @functools.cached_property
    def special_ids(self) -> tuple[int, ...]:
        """Those of `specials`, and what else the tokenizer says is special."""
        added = self._tokenizer.get_added_tokens_decoder()
        others = (i for i, token in added.items() if token.special)
        return tuple(sorted({*others, *(i for i in self.specials if i is not None)}))

    @functools.cached_property
    def frame(self) -> Frame:
        """What the tokenizer itself puts around a text and between two, read off an example."""
        if self._tokenizer.post_processor is None:
            cls, sep = ((i,) if i is not None else () for i in self.specials[2:4])
            return Frame(cls, sep, sep, 1)
        one, two = self._tokenizer.encode("a"), self._tokenizer.encode("a", "b")
        alone = [i for i, part in enumerate(one.sequence_ids) if part == 0]
        first = [i for i, part in enumerate(two.sequence_ids) if part == 0]
        second = [i for i, part in enumerate(two.sequence_ids) if part == 1]
        return Frame(
            tuple(one.ids[: alone[0]]),
            tuple(one.ids[alone[-1] + 1 :]),
            tuple(two.ids[first[-1] + 1 : second[0]]),
            two.type_ids[second[0]],
        )

    def encode(self, texts: Sequence[str], *, has_offsets: bool = False) -> list[Encoded]:
        """Take texts apart."""
        found = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [self._encoded(text, each, has_offsets) for text, each in zip(texts, found)]

    def _encoded(self, text: str, found: Any, has_offsets: bool) -> Encoded:
        words = np.array([-1 if i is None else i for i in found.word_ids], np.int32)
        is_start = np.ones(len(words), bool)
        is_start[1:] = words[1:] != words[:-1]
        ids = np.array(found.ids, np.int32)
        if not has_offsets and self._knows_words:
            return Encoded(ids, is_start)
        offsets = np.array(found.offsets, np.int32).reshape(-1, 2)
        if not self._knows_words:  # then a word begins at white space, and behind it
            for at, begin in enumerate(offsets[:, 0].tolist()):
                is_start[at] |= any(map(str.isspace, text[max(0, begin - 1) : begin + 1]))
        return Encoded(ids, is_start, offsets)

    @functools.cached_property
    def _knows_words(self) -> bool:
        """Whether it splits a text in words before it looks for tokens."""
        words = self._tokenizer.encode("a b c", add_special_tokens=False).word_ids
        return len(words) < 3 or len(set(words)) > 1

    def decode(self, ids: Sequence[int]) -> str:
        """Make a text of ids."""
        return self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=False)

    def token(self, i: int) -> str:
        """Name one token, as the vocabulary spells it."""
        return self._tokenizer.id_to_token(int(i)) or ""

    def describe(self) -> dict[str, Any]:
        """Say all of it."""
        return {"kind": "subwords", "json": self.text, "named": dict(self.named)}


# Picklable, and equal where they do the same; ids are 0 ... vocab_size - 1.
Tokenizer = Subwords | Bytes


def from_description(description: Mapping[str, Any]) -> Tokenizer:
    """Make a tokenizer of what its `describe` said."""
    if description["kind"] == "bytes":
        return Bytes()
    return Subwords(description["json"], tuple(sorted(description["named"].items())))


def wordpiece_json(
    vocabulary: Mapping[str, int], is_lower: bool | None = None, named: Sequence[str] = ()
) -> str:
    """Make the tokenizer.json of a WordPiece vocabulary, as BERT splits words (Devlin et al. 2019).

    Args:
        vocabulary: ids of the tokens.
        is_lower: whether capital letters and accents are taken away; None looks for capitals.
        named: tokens that are special beside those of the usual names.

    Returns:
        What `Subwords` takes.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    if is_lower is None:
        words = (each for each in vocabulary if not each.startswith("["))  # [CLS], [unused7]
        is_lower = all(each == each.lower() for each in words)
    made = Tokenizer(models.WordPiece(dict(vocabulary), unk_token=NAMES["unk"][0]))
    made.normalizer = normalizers.BertNormalizer(lowercase=is_lower)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    names = [*(name for name, *_ in NAMES.values()), *named]
    made.add_special_tokens([name for name in dict.fromkeys(names) if name in vocabulary])
    return framed(made).to_str()


def bytes_json() -> str:
    """Make the tokenizer.json that takes texts apart as `Bytes` does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]  # as themselves (GPT-2's code)
    others = (i for i in range(256) if i not in shown)
    letters = {i: chr(i) for i in shown} | {i: chr(256 + at) for at, i in enumerate(others)}
    names = [Bytes().token(i) for i in Bytes.special_ids]
    vocabulary = {name: i for i, name in enumerate(names)}
    vocabulary |= {letter: len(names) + i for i, letter in letters.items()}
    made = Tokenizer(models.BPE(vocabulary, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(names)
    return framed(made).to_str()


def framed(made: Any) -> Any:
    """Let a tokenizer put [CLS] and [SEP] around texts, where it has both."""
    from tokenizers import processors

    cls, sep = ((NAMES[name][0], made.token_to_id(NAMES[name][0])) for name in ("cls", "sep"))
    if cls[1] is not None and sep[1] is not None:
        made.post_processor = processors.TemplateProcessing(
            single=f"{cls[0]} $A {sep[0]}",
            pair=f"{cls[0]} $A {sep[0]} $B:1 {sep[0]}:1",
            special_tokens=[cls, sep],
        )
    return made
