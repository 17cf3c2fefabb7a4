"""What a tokenizer says of texts; and bytes, which need none."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from maskjax.typing import Bool, Int

# What special tokens are called where nothing beside the tokenizer says so; the first is taken.
NAMES = {
    "mask": ("[MASK]", "<mask>"),
    "pad": ("[PAD]", "<pad>"),
    "cls": ("[CLS]", "<s>", "<cls>"),
    "sep": ("[SEP]", "</s>", "<sep>"),
    "unk": ("[UNK]", "<unk>"),
}
_MASK = NAMES["mask"][0]


class Specials(NamedTuple):
    """Ids of special tokens; None where there is none."""

    mask: int
    pad: int | None = None
    cls: int | None = None
    sep: int | None = None
    unk: int | None = None


class Frame(NamedTuple):
    """What stands around a text, and around and between two.

    Attributes:
        before: ids in front of a text, and of the first of two.
        after: ids behind the only text, and behind the second.
        between: ids between two.
        second_type: token type of the second text and of what follows it; all before it have 0.
    """

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    between: tuple[int, ...] = ()
    second_type: int = 0


class Encoded(NamedTuple):
    """The tokens of a text.

    Attributes:
        ids: of the tokens, nothing around them.
        is_start: True where a token begins a word.
        offsets: characters of the text where each begins and ends, the end not included; None
            where they were not asked for.
    """

    ids: Int[np.ndarray, "n"]
    is_start: Bool[np.ndarray, "n"]
    offsets: Int[np.ndarray, "n 2"] | None = None


@dataclasses.dataclass(frozen=True)
class Bytes:
    """The bytes of UTF-8, after five special tokens; [MASK] in a text is that token.

    A word is a run of letters and digits (all bytes above 127 count as such), of white space, or
    one sign of punctuation.
    """

    vocab_size = 261
    specials = Specials(mask=4, pad=0, cls=2, sep=3, unk=1)
    special_ids = (0, 1, 2, 3, 4)
    frame = Frame((2,), (3,), (3,), 1)
    _names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", _MASK)

    def encode(self, texts: Sequence[str], *, has_offsets: bool = False) -> list[Encoded]:
        """Take texts apart; every byte of a character has the offsets of that character."""
        return [self._encode(text, has_offsets) for text in texts]

    def _encode(self, text: str, has_offsets: bool) -> Encoded:
        parts = text.split(_MASK)
        shift = len(self._names)
        raw = [np.frombuffer(part.encode(), np.uint8).astype(np.int32) + shift for part in parts]
        mask = np.array([self.specials.mask], np.int32)
        ids = np.concatenate([raw[0], *(x for part in raw[1:] for x in (mask, part))])
        kinds = _KINDS[ids]
        is_start = np.ones(len(ids), bool)
        is_start[1:] = (kinds[1:] != kinds[:-1]) | (kinds[1:] == _ALONE)
        if not has_offsets:
            return Encoded(ids, is_start)
        is_first = (ids < shift) | ((ids - shift) & 0xC0 != 0x80)  # no byte within a character
        begins = np.cumsum(is_first) - 1
        sizes = np.where(ids == self.specials.mask, len(_MASK), 1)
        at = np.concatenate([[0], np.cumsum(sizes[is_first])])
        return Encoded(ids, is_start, np.stack([at[begins], at[begins + 1]], 1).astype(np.int32))

    def decode(self, ids: Sequence[int]) -> str:
        """Make a text of ids; what is no UTF-8 becomes the replacement character."""
        pieces = (
            self._names[i].encode() if i < len(self._names) else bytes([i - len(self._names)])
            for i in ids
        )
        return b"".join(pieces).decode(errors="replace")

    def token(self, i: int) -> str:
        """Name one token."""
        return self.decode([i]) if i < len(self._names) + 128 else f"<0x{i - len(self._names):02X}>"

    def describe(self) -> dict[str, Any]:
        """Say that these are bytes."""
        return {"kind": "bytes"}


_ALONE, _SPACE, _LETTER = 0, 1, 2


def _kinds() -> Int[np.ndarray, "V"]:
    kinds = [_ALONE] * 5
    for i in range(256):
        is_letter = i > 127 or chr(i).isalnum()
        kinds.append(_LETTER if is_letter else _SPACE if chr(i).isspace() else _ALONE)
    return np.array(kinds, np.int8)


_KINDS = _kinds()
