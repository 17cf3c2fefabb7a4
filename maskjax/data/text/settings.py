"""The keys of `config.data` that texts have."""

import dataclasses
import re
from typing import Any

from maskjax.data.settings import Settings

LAYOUTS = ("packed", "padded", "joined", "whole")
DOCUMENTS = ("blank_line", "line", "file")


@dataclasses.dataclass(frozen=True)
class TextSettings(Settings):
    """How texts are prepared.

    Attributes:
        tokenizer: the path of a tokenizer.json, of a vocab.txt (WordPiece), of a folder that has
            one of them, or of a run, whose tokenizer it is; or `wordpiece:SIZE`, `bpe:SIZE`,
            `byte_bpe:SIZE`, trained on the training texts of the source, or of another that stands
            behind it, as in `wordpiece:8192:prose`; "" takes bytes.
        max_length: L, tokens of a row, those that frame a text included.
        layout: what a row holds. "packed": as many pieces of documents as there is room for, each
            a segment of its own; "padded": one piece; "joined": documents one after the other,
            cut where the row ends, in one segment; "whole": one text or pair of texts, cut off at
            the end, which is what labels go with.
        document: of `text:PATH`, what ends a document: "blank_line", "line" or "file".
        text_column: of `csv:FILE` and `jsonl:FILE`, the name of what holds the text.
        pair_column: of what holds a second text; "" is none.
        label_column: of what holds the class; "" is none.
        units: what rules hide as a whole: "" is words; `pmi:SIZE` is collocations, so many, that
            the training texts have (Levine et al. 2021), and single words elsewhere.
        kinds: pairs of a name and a regular expression: a word is of the first kind whose
            expression is found in it, and masks may follow kinds.
        kind_column: of `conll:FILE`, the column, from 1, that says the kind of each word, such as
            its part of speech; 0 is none.
        buckets: lengths below `max_length`: the rows of a training batch are of one of them, the
            shortest that they fit in, and no longer; () is `max_length` alone. Of layouts "padded"
            and "whole".
        index: folder where the tokens of a source are kept for later runs; "" is maskjax/texts
            in the user's cache ($XDG_CACHE_HOME, or ~/.cache).

    Raises:
        ValueError: where a value is outside what is stated here.
    """

    tokenizer: str = ""
    max_length: int = 128
    layout: str = "packed"
    document: str = "blank_line"
    text_column: str = "text"
    pair_column: str = ""
    label_column: str = ""
    units: str = ""
    kinds: tuple[tuple[str, str], ...] = ()
    kind_column: int = 0
    buckets: tuple[int, ...] = ()
    index: str = ""

    @classmethod
    def convert(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Give the values that a config holds the types of the fields."""
        values = super().convert(values)
        if "kinds" in values:
            values["kinds"] = tuple(map(tuple, values["kinds"]))
        if "buckets" in values:
            values["buckets"] = tuple(values["buckets"])
        return values

    def __post_init__(self):
        super().__post_init__()
        if not 8 <= self.max_length < 2**20:
            raise ValueError(
                f"data.max_length={self.max_length} must be at least 8 tokens and below 2**20"
            )
        for name, choices in (("layout", LAYOUTS), ("document", DOCUMENTS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"data.{name}={getattr(self, name)!r} must be one of {choices}")
        if self.units and not re.fullmatch(r"pmi:[1-9]\d*", self.units):
            raise ValueError(
                f"data.units={self.units!r} must be '', words, or collocations and how many, as in"
                " pmi:2000"
            )
        self._check_kinds()
        self._check_buckets()
        if self.bad_files != "error":
            raise ValueError(
                f"data.bad_files={self.bad_files!r}: texts are all read or refused; leave it at"
                " 'error'"
            )
        if (self.pair_column or self.label_column) and self.layout != "whole":
            key = "pair_column" if self.pair_column else "label_column"
            raise ValueError(
                f"data.{key}={getattr(self, key)!r} is of whole texts, not of pieces: set"
                " data.layout='whole'"
            )

    def _check_kinds(self) -> None:
        """Refuse what are no names with expressions."""
        names = [pair[0] for pair in self.kinds if pair]
        for pair in self.kinds:
            if len(pair) != 2 or not all(isinstance(each, str) and each for each in pair):
                raise ValueError(
                    f"data.kinds holds {pair!r}: give pairs of a name and a regular expression, as"
                    " in (('number', '^[0-9]+$'),)"
                )
            try:
                re.compile(pair[1])
            except re.error as error:
                raise ValueError(
                    f"data.kinds: {pair[1]!r} is no regular expression ({error})"
                ) from None
        if len(set(names)) < len(names):
            raise ValueError(
                f"data.kinds has a name twice, of {names}: join their expressions by |"
            )
        if self.kind_column and (self.kinds or self.kind_column < 0):
            raise ValueError(
                f"data.kind_column={self.kind_column} must be a column from 1, data.kinds ():"
                " a word has one kind"
            )

    def _check_buckets(self) -> None:
        """Refuse lengths that are none, or that rows do not differ by."""
        if not self.buckets:
            return
        lengths = (*self.buckets, self.max_length)
        are_whole = all(isinstance(each, int) for each in self.buckets)
        if not are_whole or lengths[0] < 8 or list(lengths) != sorted(set(lengths)):
            raise ValueError(
                f"data.buckets={self.buckets} must be rising lengths from 8 to below"
                f" data.max_length={self.max_length}"
            )
        if self.layout not in ("padded", "whole"):
            raise ValueError(
                f"data.buckets={self.buckets} are of rows with padding: rows of data.layout="
                f"{self.layout!r} are full; set it to 'padded' or 'whole', or leave buckets at ()"
            )
