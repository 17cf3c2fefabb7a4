"""Attention masks: functions of query and key indices, flags only when asked for."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from maskjax.masking.checks import as_flags, as_integers, check_whole
from maskjax.masking.registry import bind, missing_options
from maskjax.typing import Array, Bool, Int


class Ids(NamedTuple):
    """The query and key indices of a tile, shaped so that they broadcast to [B, H, Q, S].

    Attributes:
        query: int32 [B or 1, 1, Q, 1].
        key: int32 [1, 1, 1, S].
        all_queries: the queries are 0 ... Q - 1: values need not be looked up.
        all_keys: the same of the keys.
    """

    query: Array
    key: Array
    all_queries: bool = False
    all_keys: bool = False

    def of_queries(self, values: Array, fill: int | bool) -> Array:
        """Values [L] or [B, L] at the queries, [B or 1, 1, Q, 1]; `fill` beyond their end."""
        return _take(values, self.query, self.all_queries, fill)[:, None, :, None]

    def of_keys(self, values: Array, fill: int | bool) -> Array:
        """Values [L] or [B, L] at the keys, [B or 1, 1, 1, S]; `fill` beyond their end."""
        return _take(values, self.key, self.all_keys, fill)[:, None, None, :]


def _take(values: Array, ids: Array, is_all: bool, fill: int | bool) -> Array:
    """Rows values[b, ids[b]], where either may be the same for all b."""
    values = values.reshape(-1, values.shape[-1])
    if is_all:
        return values
    ids = ids.reshape(ids.shape[0], -1)
    (rows,) = jnp.broadcast_shapes(values.shape[:1], ids.shape[:1])
    values = jnp.broadcast_to(values, (rows, values.shape[1]))
    ids = jnp.broadcast_to(ids, (rows, ids.shape[1]))
    return jnp.take_along_axis(values, ids, axis=1, mode="fill", fill_value=fill)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("arrays",),
    meta_fields=("rule", "options", "num_queries", "num_keys"),
)
@dataclasses.dataclass(frozen=True, eq=False)
class AttentionMask:
    """Which keys each query may attend to: True = may attend.

    A pytree: its arrays (segment ids, lengths, edges) are leaves, so that it passes through jit,
    vmap, pmap and scan, and a new one of the same kind compiles nothing anew. `a & b`, `a | b` and
    `~a` combine masks; nothing of size [Q, S] exists before `dense`.

    Attributes:
        rule: `(ids, **arrays, **options) -> Bool` that broadcasts to [B, H, Q, S]; see `Ids`. A
            function of a module rather than a lambda: its identity decides what compiles anew.
        arrays: arrays and other masks, by the names under which the rule takes them.
        options: (name, value) pairs of the rule's static arguments.
        num_queries: the one number of queries that the arrays fit, or None for any.
        num_keys: the same of the keys.

    Examples:
        >>> from maskjax.masking.attention import causal, padding
        >>> attention_mask = causal() & padding(lengths=jnp.array([2]))
        >>> attention_mask.dense(3, 3).astype(int)[0, 0].tolist()
        [[1, 0, 0], [1, 1, 0], [1, 1, 0]]
    """

    rule: Callable[..., Array]
    arrays: Any = dataclasses.field(default_factory=dict)
    options: Any = ()
    num_queries: int | None = None
    num_keys: int | None = None
    __array_ufunc__ = None  # `array & attention_mask` of NumPy's arrays is asked of this class

    def allows(self, ids: Ids) -> Array:
        """The flags of a tile, as small as the rule leaves them: they broadcast to [B, H, Q, S]."""
        name = getattr(self.rule, "__name__", "its rule")
        return as_flags(f"what {name} gives", self.rule(ids, **self.arrays, **dict(self.options)))

    def dense(self, num_queries: int, num_keys: int) -> Bool[Array, "_ _ Q S"]:
        """All flags, [B or 1, H or 1, Q, S]; ValueError where the arrays have other lengths."""
        check_whole("num_queries", num_queries, least=0)
        check_whole("num_keys", num_keys, least=0)
        self.check(num_queries, num_keys)
        queries, keys = jnp.arange(num_queries), jnp.arange(num_keys)
        return self._flags(Ids(_column(queries), _row(keys), True, True))

    def tile(self, query_ids: Int[Array, "Q"], key_ids: Int[Array, "S"]) -> Bool[Array, "_ _ Q S"]:
        """The flags of some queries and keys alone, [B or 1, H or 1, Q, S].

        Indices that the mask's arrays do not have are treated as padding: as no segment, not
        global, without edges.
        """
        query_ids, key_ids = as_integers("query_ids", query_ids), as_integers("key_ids", key_ids)
        return self._flags(Ids(_column(query_ids), _row(key_ids)))

    def shift(self, offset: int | Int[Array, "*B"]) -> "AttentionMask":
        """The same mask for queries that start at position `offset`, as in decoding with a cache.

        One offset, or one per example; query i then stands at position offset + i among the keys.
        """
        arrays = {"attention_mask": self, "offset": as_integers("offset", offset)}
        return AttentionMask(_shifted, arrays, num_keys=self.num_keys)

    def check(self, num_queries: int, num_keys: int) -> None:
        """ValueError where the arrays have other lengths."""
        for known, asked, what in [
            (self.num_queries, num_queries, "queries"),
            (self.num_keys, num_keys, "keys"),
        ]:
            if known is not None and known != asked:
                raise ValueError(f"an attention mask of {known} {what} is used for {asked} {what}")

    def __and__(self, other: "AttentionMask") -> "AttentionMask":
        """May attend where both allow it."""
        return combine(_both, self, other)

    def __or__(self, other: "AttentionMask") -> "AttentionMask":
        """May attend where one of them allows it."""
        return combine(_either, self, other)

    __rand__, __ror__ = __and__, __or__

    def __invert__(self) -> "AttentionMask":
        """May attend where this mask does not allow it."""
        return combine(_not, self)

    def _flags(self, ids: Ids) -> Array:
        flags = self.allows(ids)
        return jnp.broadcast_to(flags, (*flags.shape[:2], ids.query.shape[2], ids.key.shape[3]))


# What to do with flags where a mask or [B H Q S] is wanted.
FROM_FLAGS = (
    "padding(is_valid=...) of flags [B S], given(attention_mask=...) of flags [Q S], [H Q S] or "
    "[B H Q S]"
)


def _column(ids: Array) -> Array:
    return ids.astype(jnp.int32)[None, None, :, None]


def _row(ids: Array) -> Array:
    return ids.astype(jnp.int32)[None, None, None, :]


def _shifted(ids: Ids, attention_mask: AttentionMask, offset: Array) -> Array:
    query = ids.query + offset.astype(jnp.int32).reshape(-1, 1, 1, 1)
    return attention_mask.allows(ids._replace(query=query, all_queries=False))


def _both(ids: Ids, attention_masks: tuple[AttentionMask, AttentionMask]) -> Array:
    first, second = attention_masks
    return first.allows(ids) & second.allows(ids)


def _either(ids: Ids, attention_masks: tuple[AttentionMask, AttentionMask]) -> Array:
    first, second = attention_masks
    return first.allows(ids) | second.allows(ids)


def _not(ids: Ids, attention_masks: tuple[AttentionMask]) -> Array:
    (attention_mask,) = attention_masks
    return ~attention_mask.allows(ids)


def combine(rule: Callable[..., Array], *attention_masks: AttentionMask) -> AttentionMask:
    """A mask made of others, which must be for the same numbers of queries and keys."""
    for one in attention_masks:
        if not isinstance(one, AttentionMask):
            kind = f"a {type(one).__name__}"
            kind = f"an array of shape {one.shape}" if hasattr(one, "shape") else kind
            raise ValueError(
                f"an attention mask cannot be combined with {kind}: make it one first, {FROM_FLAGS}"
            )
    sizes = {}
    for name in ("num_queries", "num_keys"):
        known = sorted({getattr(one, name) for one in attention_masks} - {None})
        if len(known) > 1:
            what = name.removeprefix("num_")
            raise ValueError(f"attention masks of {known} {what} cannot be combined")
        sizes[name] = known[0] if known else None
    return AttentionMask(rule, {"attention_masks": attention_masks}, **sizes)


ATTENTION: dict[str, Callable[..., AttentionMask]] = {}


def register_attention(name: str) -> Callable[[Callable], Callable]:
    """Adds the decorated constructor, whose arguments are keyword-only, to ATTENTION.

    Args:
        name: what `make_attention_mask` calls it. A sheet and the tests feed its arguments by
            name: `key`, `num_queries`, `num_keys`, `is_valid`, `lengths`, `segment_ids`,
            `is_global`, `scores`, `attention_mask`, `masks`, `head_masks`.

    Returns:
        A decorator that returns the constructor unchanged.

    Raises:
        ValueError: the name is taken.

    Examples:
        >>> def _even(ids):
        ...     return ids.key % 2 == 0
        >>> @register_attention("even_keys")
        ... def even_keys():
        ...     return AttentionMask(_even)
        >>> make_attention_mask("even_keys").dense(1, 4).astype(int)[0, 0].tolist()
        [[1, 0, 1, 0]]
        >>> del ATTENTION["even_keys"]
    """

    def add(constructor: Callable) -> Callable:
        if name in ATTENTION:
            raise ValueError(f"attention mask {name!r} is registered already; choose another name")
        ATTENTION[name] = constructor
        return constructor

    return add


def make_attention_mask(name: str, **options: Any) -> AttentionMask:
    """An attention mask by name.

    Args:
        name: a key of ATTENTION.
        **options: keyword arguments of that constructor.

    Returns:
        The AttentionMask.

    Raises:
        ValueError: an unknown name or option (the message lists the known ones), or one missing.

    Examples:
        >>> make_attention_mask("dilated", dilation=2).dense(1, 4).astype(int)[0, 0].tolist()
        [[1, 0, 1, 0]]
    """
    constructor = bind("attention mask", ATTENTION, name, options)
    for option in missing_options(constructor, {}):
        raise ValueError(f"attention mask {name!r} needs {option!r}")
    return constructor()
