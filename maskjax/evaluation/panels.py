"""Panels: what a task shows of a few examples, as arrays; `figures.draw_panel` draws them.

Arrays are in the model's own units. What turns them into what people read comes from the data that
the model learned from: `ArrayUnits` or `TokenUnits`.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import numpy as np

from maskjax.typing import Array, Bool, Float, Int, Num

UNKNOWN = -1  # in place of an id


@runtime_checkable
class ArrayUnits(Protocol):
    """What turns a model's arrays into those that were stored."""

    def denormalise(self, x: Any) -> Float[np.ndarray, "..."]:
        """Undo the normalisation, to [0, 1] for images; NaN stays NaN."""
        ...


@runtime_checkable
class TokenUnits(Protocol):
    """What names a model's ids."""

    def words(self, ids: Sequence[int]) -> list[str]:
        """Name tokens or items, none of them `UNKNOWN`."""
        ...


@runtime_checkable
class SpellingUnits(TokenUnits, Protocol):
    """What writes a model's ids as a text, too."""

    def spell(self, ids: Sequence[int]) -> str:
        """Write tokens as they stand in a text, none of them `UNKNOWN`."""
        ...


class ArrayPanel(NamedTuple):
    """Arrays that were reconstructed: signals, images, volumes and videos.

    Attributes:
        original: [N, *shape], NaN where there is no number.
        seen: [N, *shape], what the model received.
        prediction: [N, *shape].
        pasted: [N, *shape], the prediction where hidden and the original elsewhere.
        is_hidden: [N, *shape].
        is_absent: [N, *shape], where the model received nothing.
        dim_visible: whether the loss asks for hidden parts alone.
        note: what the reader must know of the predictions.
    """

    original: Float[np.ndarray | Array, "N *shape"]
    seen: Float[np.ndarray | Array, "N *shape"]
    prediction: Float[np.ndarray | Array, "N *shape"]
    pasted: Float[np.ndarray | Array, "N *shape"]
    is_hidden: Bool[np.ndarray | Array, "N *shape"]
    is_absent: Bool[np.ndarray | Array, "N *shape"]
    dim_visible: bool = True
    note: str = ""


class RulePanel(NamedTuple):
    """Every masking rule for images on one picture, with the count and the options of a run.

    Attributes:
        images: [N, H, W, C], of which the first is shown.
        patch_size: height and width of a patch.
        num_masked: patches that are hidden.
        options: of rules, by name.
    """

    images: Float[np.ndarray | Array, "N H W C"]
    patch_size: tuple[int, int]
    num_masked: int
    options: Mapping[str, Mapping[str, Any]] = {}


class TokenPanel(NamedTuple):
    """Tokens of a text, or items of a history, of which some were hidden and guessed.

    Attributes:
        seen: [N, L] ids that the model received; UNKNOWN for the mask token.
        true: [N, L] ids; UNKNOWN where nobody knows, as of an item that is yet to come.
        is_hidden: [N, L], positions that were guessed.
        is_valid: [N, L], False for padding, which is left out.
        guesses: [N, L, K] ids, the likeliest first.
        probabilities: [N, L, K], of the guesses.
        note: what the reader must know.
    """

    seen: Int[np.ndarray | Array, "N L"]
    true: Int[np.ndarray | Array, "N L"]
    is_hidden: Bool[np.ndarray | Array, "N L"]
    is_valid: Bool[np.ndarray | Array, "N L"]
    guesses: Int[np.ndarray | Array, "N L K"]
    probabilities: Float[np.ndarray | Array, "N L K"]
    note: str = ""


class TextPanel(NamedTuple):
    """Texts that a model wrote, or in which it filled holes.

    Attributes:
        tokens: [N, L] ids.
        is_written: [N, L], True for what the model wrote.
        is_valid: [N, L], False for padding and what else is left out.
        note: what the reader must know.
    """

    tokens: Int[np.ndarray | Array, "N L"]
    is_written: Bool[np.ndarray | Array, "N L"]
    is_valid: Bool[np.ndarray | Array, "N L"]
    note: str = ""


class ClassPanel(NamedTuple):
    """Examples that were classified.

    Attributes:
        inputs: [N, *shape]; of texts ids [N, L], UNKNOWN for what is not shown.
        labels: [N], the class of each, `UNKNOWN` where nobody knows; or [N, C], above 0 for the
            classes that an example has.
        probabilities: [N, C].
        classes: names of the classes in label order; () where they have none.
        note: what the reader must know.
    """

    inputs: Num[np.ndarray | Array, "N *shape"]
    labels: Num[np.ndarray | Array, "N *C"]
    probabilities: Float[np.ndarray | Array, "N C"]
    classes: Sequence[str] = ()
    note: str = ""

    @property
    def is_true(self) -> Bool[np.ndarray, "N C"]:
        """Which classes each example has; none where nobody knows."""
        labels, count = np.asarray(self.labels), self.probabilities.shape[1]
        return labels > 0 if labels.ndim == 2 else labels[:, None] == np.arange(count)


class TagPanel(NamedTuple):
    """Words of texts that were given a tag each.

    Attributes:
        seen: [N, L] ids.
        is_valid: [N, L], False for what is not shown, such as padding.
        true: [N, L], number of the tag of the word that begins here, UNKNOWN where none does or
            nobody knows.
        predicted: [N, L], the same as it was said, UNKNOWN where no word begins.
        probabilities: [N, L], of what was said.
        tags: their names.
        note: what the reader must know.
    """

    seen: Int[np.ndarray | Array, "N L"]
    is_valid: Bool[np.ndarray | Array, "N L"]
    true: Int[np.ndarray | Array, "N L"]
    predicted: Int[np.ndarray | Array, "N L"]
    probabilities: Float[np.ndarray | Array, "N L"]
    tags: Sequence[str]
    note: str = ""


Panel = ArrayPanel | RulePanel | TokenPanel | TextPanel | ClassPanel | TagPanel
_Panel = TypeVar("_Panel", bound=Panel)


class Tagged(NamedTuple):
    """A word of a `TagPanel`.

    Attributes:
        word: as its tokens spell it.
        tag: what was said of it.
        probability: of that.
        true: what it is, "" where nobody knows.
    """

    word: str
    tag: str
    probability: float
    true: str


class Guess(NamedTuple):
    """A hidden position of a `TokenPanel` in words.

    Attributes:
        position: 0 is the first that is no padding.
        true: what was hidden, "" where nobody knows.
        words: the guesses, the likeliest first.
        probabilities: of the guesses.
    """

    position: int
    true: str
    words: list[str]
    probabilities: list[float]


def first_rows(panel: _Panel, count: int) -> _Panel:
    """Take the first examples of a panel, to the host."""
    host: list[Any] = [
        np.asarray(x)[:count] if isinstance(x, np.ndarray | jax.Array) else x for x in panel
    ]
    return type(panel)(*host)


def in_words(panel: TokenPanel, units: TokenUnits) -> Iterator[list[str | Guess]]:
    """Name the tokens of each example, in order; hidden ones are guesses, padding is left out."""

    def named(row: Any) -> list[str]:
        ids = np.asarray(row).tolist()
        known = iter(units.words([i for i in ids if i != UNKNOWN]))
        return ["" if i == UNKNOWN else next(known) for i in ids]

    panel = first_rows(panel, len(panel.seen))
    for row in range(len(panel.seen)):
        seen, true = named(panel.seen[row]), named(panel.true[row])
        line: list[str | Guess] = []
        for place, at in enumerate(np.flatnonzero(panel.is_valid[row]).tolist()):
            if panel.is_hidden[row, at]:
                chances = panel.probabilities[row, at].tolist()
                line.append(Guess(place, true[at], named(panel.guesses[row, at]), chances))
            else:
                line.append(seen[at])
        yield line


def texts_of(ids: Int[np.ndarray | Array, "N L"], units: SpellingUnits) -> list[str]:
    """Write the texts of a `ClassPanel`."""
    rows = np.asarray(ids)
    return [units.spell(row[row != UNKNOWN].tolist()) for row in rows]


def tagged_words(panel: TagPanel, units: SpellingUnits) -> Iterator[list[Tagged]]:
    """Name the words of each example, in order, with their tags."""
    panel = first_rows(panel, len(panel.seen))
    for row in range(len(panel.seen)):
        places = np.flatnonzero(panel.is_valid[row])
        firsts = [at for at in places.tolist() if panel.predicted[row, at] != UNKNOWN]
        line: list[Tagged] = []
        for at, end in itertools.pairwise([*firsts, panel.seen.shape[1]]):
            inside = places[(places >= at) & (places < end)]
            true = int(panel.true[row, at])
            line.append(
                Tagged(
                    units.spell(np.asarray(panel.seen)[row, inside].tolist()),
                    panel.tags[int(panel.predicted[row, at])],
                    float(panel.probabilities[row, at]),
                    "" if true == UNKNOWN else panel.tags[true],
                )
            )
        yield line


def in_texts(panel: TextPanel, units: SpellingUnits) -> Iterator[tuple[str, str]]:
    """Make of each example the text before all that was written, and the whole text."""
    for tokens, is_written, is_valid in zip(*first_rows(panel, len(panel.tokens))[:3]):
        ids, written = tokens[is_valid].tolist(), np.flatnonzero(is_written[is_valid])
        yield units.spell(ids[: written[0]] if len(written) else ids), units.spell(ids)


def said(line: Sequence[str | Guess]) -> str:
    """Write an example of `in_words` on a line.

    >>> said(["the", Guess(1, "cat", ["cat", "dog"], [0.75, 0.2]), "sat"])
    'the [cat: cat 75.0%, dog 20.0%] sat'
    >>> said(["12", "50", Guess(2, "", ["181"], [0.5])])
    '12 50 [181 50.0%]'
    """

    def of(word: str | Guess) -> str:
        if isinstance(word, str):
            return word
        pairs = zip(word.words, word.probabilities, strict=True)
        guesses = ", ".join(f"{each} {chance:.1%}" for each, chance in pairs)
        return f"[{word.true}: {guesses}]" if word.true else f"[{guesses}]"

    return " ".join(map(of, line))
