"""The keys of `config.data` that texts have."""

import dataclasses

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
    index: str = ""

    def __post_init__(self):
        super().__post_init__()
        if not 8 <= self.max_length < 2**20:
            raise ValueError(
                f"data.max_length={self.max_length} must be at least 8 tokens and below 2**20"
            )
        for name, choices in (("layout", LAYOUTS), ("document", DOCUMENTS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"data.{name}={getattr(self, name)!r} must be one of {choices}")
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
