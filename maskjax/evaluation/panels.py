"""Panels: what a task shows of a few examples, as arrays; `figures.draw_panel` draws them.

Arrays are in the model's own units. What turns them into what people read comes from the data that
the model learned from: `ArrayUnits` or `TokenUnits`.
"""

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


class ClassPanel(NamedTuple):
    """Examples that were classified.

    Attributes:
        inputs: [N, *shape].
        labels: [N], the class of each, `UNKNOWN` where nobody knows; or [N, C], above 0 for the
            classes that an example has.
        probabilities: [N, C].
        classes: names of the classes in label order; () where they have none.
        note: what the reader must know.
    """

    inputs: Float[np.ndarray | Array, "N *shape"]
    labels: Num[np.ndarray | Array, "N *C"]
    probabilities: Float[np.ndarray | Array, "N C"]
    classes: Sequence[str] = ()
    note: str = ""

    @property
    def is_true(self) -> Bool[np.ndarray, "N C"]:
        """Which classes each example has; none where nobody knows."""
        labels, count = np.asarray(self.labels), self.probabilities.shape[1]
        return labels > 0 if labels.ndim == 2 else labels[:, None] == np.arange(count)


Panel = ArrayPanel | RulePanel | TokenPanel | ClassPanel
_Panel = TypeVar("_Panel", bound=ArrayPanel | RulePanel | TokenPanel | ClassPanel)


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
