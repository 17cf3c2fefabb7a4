"""How well entities of several words are found, as sums: what seqeval says of all texts at once.

Tags are "O", "B-TYPE" or "I-TYPE". An entity begins at B, and at an I that follows O, another type
or nothing; it goes on through I of its type (the rule of the CoNLL shared tasks, and of seqeval
where it is not strict). It is found where its type, first and last word are all right.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.evaluation.averages import SCORES, averages, scores
from maskjax.evaluation.metrics import Table, prefixed
from maskjax.typing import Array, Bool, Float, Int

OUTSIDE = "O"


class Tags(NamedTuple):
    """What tags mean, by their numbers.

    Attributes:
        types: names of the types of entities, sorted.
        type_of: of each tag its type, -1 for "O".
        is_begin: of each tag whether it is a B.
    """

    types: tuple[str, ...]
    type_of: tuple[int, ...]
    is_begin: tuple[bool, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> "Tags":
        """Read the names of tags.

        >>> Tags.of(("B-X", "I-X", "O"))
        Tags(types=('X',), type_of=(0, 0, -1), is_begin=(True, False, False))
        """
        types = tuple(sorted({name[2:] for name in names if name != OUTSIDE}))
        numbers = (-1 if name == OUTSIDE else types.index(name[2:]) for name in names)
        return cls(types, (*numbers,), tuple(name.startswith("B-") for name in names))


class Entities(NamedTuple):
    """How many entities of each type were found.

    Attributes:
        hit: [T], those that are there and were named.
        true: [T], those that are there.
        predicted: [T], those that were named.
    """

    hit: Float[Array, "T"] | Any
    true: Float[Array, "T"] | Any
    predicted: Float[Array, "T"] | Any

    def numbers(self, name: str) -> dict[str, float]:
        """Precision, recall and F1 of all entities alike, and their means over types.

        "f1" is seqeval's default, "f1_macro" and "f1_weighted" its other averages; types that are
        neither true nor predicted anywhere are in none. Where there is nothing to divide by a
        number is 0.
        """
        hit, true, predicted = (np.asarray(x, np.float64) for x in self)
        kinds = ("micro", "macro", "weighted")
        found = averages(hit, true, predicted, kinds, true + predicted > 0)
        named = {of.removesuffix("_micro"): float(x) for of, x in found.items()}
        return {prefixed(name, of): 0.0 if np.isnan(x) else x for of, x in named.items()}

    def tables(self, name: str, classes: Sequence[str]) -> dict[str, Table]:
        """Precision, recall, F1 and how often each type is there; `classes` are names of tags."""
        counts = [np.asarray(x, np.float64) for x in self]
        types = Tags.of(classes).types if classes else range(len(counts[0]))
        values = np.column_stack([*scores(*counts), counts[1]])
        rows = [str(each) for each in types]
        return {prefixed(name, "per_type"): Table(rows, (*SCORES, "support"), values)}


def entities(
    tags: Tags,
    true: Int[Array, "B L"],
    predicted: Int[Array, "B L"],
    is_word: Bool[Array, "B L"],
) -> Entities:
    """Count entities; it can be traced.

    Args:
        tags: what the numbers mean.
        true: the tag of each word.
        predicted: the same as it was said.
        is_word: False where there is no word, as behind the first piece of one: what stands
            there is passed over.
    """
    order = jnp.argsort(~is_word, axis=1, stable=True)  # words first, in their order
    is_word = jnp.take_along_axis(is_word, order, 1)
    there, said = (
        _spans(tags, jnp.take_along_axis(x, order, 1), is_word) for x in (true, predicted)
    )
    is_hit = there.is_first & said.is_first & (there.type == said.type) & (there.last == said.last)

    def count(is_counted: Array, of: _Spans) -> Array:
        rows = jnp.where(is_counted, of.type, len(tags.types)).reshape(-1)
        return jnp.zeros(len(tags.types)).at[rows].add(1.0, mode="drop")

    return Entities(count(is_hit, there), count(there.is_first, there), count(said.is_first, said))


class _Spans(NamedTuple):
    is_first: Bool[Array, "B L"]  # where an entity begins
    type: Int[Array, "B L"]  # of the entity that a word is of, -1 for none
    last: Int[Array, "B L"]  # where the entity that begins here ends


def _spans(tags: Tags, numbers: Int[Array, "B L"], is_word: Bool[Array, "B L"]) -> _Spans:
    kind = jnp.where(is_word, jnp.array(tags.type_of)[numbers], -1)
    is_begin = jnp.array(tags.is_begin)[numbers]
    before = jnp.pad(kind, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
    is_first = (kind >= 0) & (is_begin | (kind != before))
    goes_on = jnp.pad((kind >= 0) & ~is_first, ((0, 0), (0, 1)))[:, 1:]
    at = jnp.broadcast_to(jnp.arange(kind.shape[1]), kind.shape)
    ends = jnp.where((kind >= 0) & ~goes_on, at, kind.shape[1])
    return _Spans(is_first, kind, jax.lax.cummin(ends, axis=1, reverse=True))


def spans(names: Sequence[str]) -> list[tuple[str, int, int]]:
    """List the entities of a text, on the host: (type, first word, last word).

    Args:
        names: the tag of each word.

    >>> spans(["B-X", "I-X", "O", "I-Y", "I-X", "B-X"])
    [('X', 0, 1), ('Y', 3, 3), ('X', 4, 4), ('X', 5, 5)]
    """
    found: list[tuple[str, int, int]] = []
    before = ""
    for at, name in enumerate(names):
        kind = "" if name == OUTSIDE else name[2:]
        if kind and kind == before and not name.startswith("B-"):
            found[-1] = (kind, found[-1][1], at)
        elif kind:
            found.append((kind, at, at))
        before = kind
    return found
