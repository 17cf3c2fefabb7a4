"""From the tokens of texts to rows, and from one's own texts to the same rows."""

import dataclasses
import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from maskjax.data.corruption import Corruption
from maskjax.data.processor import Example, Record, stack
from maskjax.data.text.corruptions import CORRUPTIONS, corrupt
from maskjax.data.text.files import lines, refuse_halves, refuse_path
from maskjax.data.text.index_build import tags_of
from maskjax.data.text.kinds import KindsOfWords, spread
from maskjax.data.text.packing import cut_pair, positions_of
from maskjax.data.text.settings import TextSettings
from maskjax.data.text.subwords import Tokenizer, from_description
from maskjax.data.text.tokenizer import NAMES
from maskjax.typing import Batch, Bool

NO_WORD = NO_TAG = -1


@dataclasses.dataclass(frozen=True)
class TextProcessor:
    """Reads {"pieces": ((tokens, is_start), ...)}, with "tags" and "kinds" where words have some.

    Attributes:
        tokenizer: what made the tokens.
        max_length: L, tokens of a row.
        layout: what a row holds, see `TextSettings`.
        has_pairs: whether texts are pairs.
        tag_names: of words, in the order of their numbers; () where words have no tags.
        kind_names: of words, likewise, the first of them number 1; 0 is none.
        kinds: an expression for each kind; () where records say the kinds.
        buckets: lengths of training rows, the last one L; () where all have L tokens.
        units: `data.units`, what words are here.
    """

    tokenizer: Tokenizer
    max_length: int
    layout: str
    has_pairs: bool = False
    tag_names: tuple[str, ...] = ()
    kind_names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    buckets: tuple[int, ...] = ()
    units: str = ""

    is_random, corruptions = False, CORRUPTIONS

    @classmethod
    def restore(cls, description: Mapping[str, Any], settings: TextSettings) -> "TextProcessor":
        """Make it from what `describe` said, without the data."""
        del settings
        return cls(
            from_description(description["tokenizer"]),
            description["max_length"],
            description["layout"],
            description["has_pairs"],
            tuple(description["tag_names"]),
            tuple(description.get("kind_names", ())),
            tuple(description.get("kinds", ())),
        )

    @property
    def in_words(self) -> str:
        """What examples are."""
        kind = {"packed": "packed ", "joined": "joined "}.get(self.layout, "")
        return f"{kind}rows of up to {self.max_length} of {self.vocab_size} tokens"

    @property
    def vocab_size(self) -> int:
        """V, how many tokens there are."""
        return self.tokenizer.vocab_size

    @property
    def room(self) -> int:
        """Tokens of a text that is alone in its row."""
        frame = self.tokenizer.frame
        return self.max_length - len(frame.before) - len(frame.after)

    def __call__(self, record: Record, rng: np.random.Generator | None = None) -> Example:
        """Make a row.

        Args:
            record: has "pieces": of one row, or one text, or two of a pair.
            rng: not used.

        Returns:
            "tokens" int32 [L], "segment_ids" int32 [L], "is_start" bool [L] (True where a token
            begins a word); of pairs "token_types" int32 [L], of tagged words "token_labels" int32
            [L], of words with kinds "kinds" int32 [L]. What is too long for a row is cut off.
        """
        del rng
        pieces, frame = record["pieces"], self.tokenizer.frame
        if self.has_pairs:
            return self._pair(pieces)
        row = self.empty()
        if self.layout == "joined":
            self._join(row, pieces)
            return row
        at = 0
        for number, (tokens, is_start) in enumerate(pieces, 1):
            tokens, is_start = tokens[: self.room], is_start[: self.room]
            begin = at + len(frame.before)
            end = begin + len(tokens)
            row["tokens"][at:begin] = frame.before
            self._place(row, begin, tokens, is_start)
            row["tokens"][end : end + len(frame.after)] = frame.after
            row["segment_ids"][at : end + len(frame.after)] = number
            at = end + len(frame.after)
        if "tags" in record:
            begin, tags = len(frame.before), record["tags"][: self.room]
            row["token_labels"][begin : begin + len(tags)] = tags
        if "kinds" in record and self.kind_names:
            begin, kinds = len(frame.before), spread(record["kinds"])[: self.room]
            row["kinds"][begin : begin + len(kinds)] = kinds
        return row

    def _join(self, row: Example, pieces: Sequence[Any]) -> None:
        """Fill a row with one piece behind the other, in one segment."""
        frame, at = self.tokenizer.frame, len(self.tokenizer.frame.before)
        row["tokens"][:at] = frame.before
        for number, (tokens, is_start) in enumerate(pieces):
            if number:
                row["tokens"][at : at + len(frame.after)] = frame.after
                at += len(frame.after)
            self._place(row, at, tokens, is_start)
            at += len(tokens)
        row["tokens"][at : at + len(frame.after)] = frame.after
        row["segment_ids"][: at + len(frame.after)] = 1

    def _pair(self, pieces: Sequence[Any]) -> Example:
        """Make a row of two texts; the longer one is cut until both fit (Devlin et al. 2019)."""
        frame, row = self.tokenizer.frame, self.empty()
        (first, first_starts), (second, second_starts) = pieces
        sizes = cut_pair(len(first), len(second), self.room - len(frame.between))
        begin = len(frame.before)
        middle = begin + sizes[0]
        behind = middle + len(frame.between)
        end = behind + sizes[1]
        row["tokens"][:begin] = frame.before
        self._place(row, begin, first[: sizes[0]], first_starts[: sizes[0]])
        row["tokens"][middle:behind] = frame.between
        self._place(row, behind, second[: sizes[1]], second_starts[: sizes[1]])
        row["tokens"][end : end + len(frame.after)] = frame.after
        row["segment_ids"][: end + len(frame.after)] = 1
        row["token_types"][behind : end + len(frame.after)] = frame.second_type
        return row

    def corrupt(self, example: Example, corruption: Corruption, id: int) -> Example:
        """Corrupt the tokens of a row; see `Corrupting`."""
        mask = self.tokenizer.specials.mask
        return corrupt(example, corruption, id, self._is_special, mask)

    def empty(self) -> Example:
        """Make a row of padding."""
        pad, length = self.tokenizer.specials.pad, self.max_length
        row: Example = {
            "tokens": np.full(length, pad or 0, np.int32),
            "segment_ids": np.zeros(length, np.int32),
            "is_start": np.zeros(length, bool),
        }
        if self.has_pairs:
            row["token_types"] = np.zeros(length, np.int32)
        if self.tag_names:
            row["token_labels"] = np.full(length, NO_TAG, np.int32)
        if self.kind_names:
            row["kinds"] = np.zeros(length, np.int32)
        return row

    def _place(self, row: Example, at: int, tokens: np.ndarray, is_start: np.ndarray) -> None:
        """Write a piece into a row; its first token begins a word, even where one was cut."""
        end = at + len(tokens)
        row["tokens"][at:end] = tokens
        row["is_start"][at:end] = is_start
        row["is_start"][at : at + min(1, len(tokens))] = True
        if self.kinds:
            row["kinds"][at:end] = self._kinds_of(tokens, row["is_start"][at:end])

    @functools.cached_property
    def _kinds_of(self) -> KindsOfWords:
        return KindsOfWords(self.tokenizer, self.kinds)

    def collate(self, examples: Sequence[Example]) -> dict[str, np.ndarray]:
        """Stack rows, and number positions and words.

        Returns:
            "tokens", "segment_ids" (0 = padding), "positions" (from 0 in each segment, 0 at
            padding), "word_ids" (counted through the row, -1 where "is_special"), all int32 [B, L];
            "is_special" bool [B, L], special tokens and padding; of pairs "token_types", of tagged
            words "token_labels" (-1 where a token begins no word, the number of tags where nobody
            knows its tag), int32 [B, L]; and "kinds", of all tokens of a word, likewise.
        """
        batch = stack(examples)
        is_start, segments = batch.pop("is_start"), batch["segment_ids"]
        is_special = self._is_special[batch["tokens"]] | (segments == 0)
        words = np.cumsum(is_start, 1, dtype=np.int32) - 1
        batch["positions"] = positions_of(segments)
        batch["word_ids"] = np.where(is_special, np.int32(NO_WORD), words)
        batch["is_special"] = is_special
        return batch

    def shortened(self, batch: Batch) -> Batch:
        """Cut the padding of rows that are all of one bucket."""
        longest = int((batch["segment_ids"] > 0).sum(1).max())
        length = next(each for each in self.buckets if each >= longest)
        return {name: x[:, :length] for name, x in batch.items()}

    @functools.cached_property
    def _is_special(self) -> Bool[np.ndarray, "V"]:
        found = np.zeros(self.vocab_size, bool)
        found[list(self.tokenizer.special_ids)] = True
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def read(self, text: str, *, is_strict: bool = False) -> Iterator[tuple[str, Example]]:
        """Read texts of one's own; [MASK] or <mask> in them is the tokenizer's mask token.

        Args:
            text: a text, or the path of a file with a text a line; of pairs a tab is between. Words
                that are to be tagged stand between white space.
            is_strict: makes no difference: a text that cannot be read is always refused.

        Yields:
            The text as it was written, or its line's number, and its example.

        Raises:
            ValueError: it is empty, no pair, or longer than a row (whole texts are cut off).
            FileNotFoundError: it is named as a file is, and there is none.
        """
        del is_strict
        refuse_halves(text, "the text")  # before it is looked for as a path
        if not os.path.isfile(text):  # False too for a text that is too long to be a path
            refuse_path(text)
            yield text, self.from_text(text, "the text")
            return
        for number, line in lines(Path(text)):
            if line.strip():
                yield f"line {number}", self.from_text(line, f"line {number} of {text}")

    def from_text(self, text: str, where: str) -> Example:
        """Make an example of a text, which messages call `where`."""
        refuse_halves(text, where)
        parts = text.strip().split("\t") if self.has_pairs else [text.strip()]
        if len(parts) != 1 + self.has_pairs or not all(part.strip() for part in parts):
            wish = "two texts with a tab between them" if self.has_pairs else "a text"
            raise ValueError(f"{where} is {text[:40]!r}: give {wish}")
        parts = [self.with_holes(part.strip()) for part in parts]
        found = self.tokenizer.encode(parts, has_offsets=bool(self.tag_names))
        ids = [each.ids for each in found]
        size = sum(map(len, ids))
        room = self.room - len(self.tokenizer.frame.between) * self.has_pairs
        if size > room:
            too_long = f"{where} has {size} tokens, and the model reads {room} at a time"
            if self.layout != "whole" or self.tokenizer.specials.mask in np.concatenate(ids):
                raise ValueError(f"{too_long}: cut it")
            logging.log_first_n(logging.WARNING, "%s: the rest is left out", 5, too_long)
        record: dict[str, Any] = {"pieces": [each[:2] for each in found]}
        if self.tag_names:
            spans = np.array([word.span() for word in re.finditer(r"\S+", parts[0])], np.int64)
            assert found[0].offsets is not None
            unknown = [len(self.tag_names)] * len(spans)
            record["tags"] = tags_of(found[0].offsets, spans, unknown)
        return self(record)

    def with_holes(self, text: str) -> str:
        """Write the mask token for [MASK] and <mask>."""
        mask = self.tokenizer.token(self.tokenizer.specials.mask)
        for name in NAMES["mask"]:
            text = text.replace(name, mask)
        return text

    def words(self, ids: Sequence[int]) -> list[str]:
        """Name tokens, as the vocabulary spells them."""
        return [self.tokenizer.token(i) for i in ids]

    def spell(self, ids: Sequence[int]) -> str:
        """Write tokens as a text."""
        return self.tokenizer.decode(ids).strip()

    def describe(self) -> dict[str, Any]:
        """Say how rows are made, and all of the tokenizer."""
        return {
            "max_length": self.max_length,
            "layout": self.layout,
            "has_pairs": self.has_pairs,
            "tag_names": list(self.tag_names),
            **({"kind_names": list(self.kind_names)} if self.kind_names else {}),
            **({"kinds": list(self.kinds)} if self.kinds else {}),
            "tokenizer": self.tokenizer.describe(),
        }
