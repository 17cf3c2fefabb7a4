"""T5's span corruption with static shapes: hidden spans move to the targets, and back."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from maskjax.masking.checks import as_flags, as_integers, check_rows, check_shapes, check_whole
from maskjax.masking.text.counts import num_noise, num_spans
from maskjax.masking.text.words import run_starts
from maskjax.typing import Array, Bool, Int


class SpanCorruption(NamedTuple):
    """A text without its hidden spans, and those spans.

    Attributes:
        inputs: visible tokens, one sentinel in place of each hidden span, EOS, padding.
        targets: for each hidden span its sentinel and its tokens; EOS, padding.
        inputs_lengths: slots that a row of inputs needs, EOS included; more than there are where it
            was cut.
        targets_lengths: the same for the targets.
    """

    inputs: Int[Array, "B inputs"]
    targets: Int[Array, "B targets"]
    inputs_lengths: Int[Array, "B"]
    targets_lengths: Int[Array, "B"]


class RestoredSpans(NamedTuple):
    """Texts with their spans in place again.

    Attributes:
        tokens: the text, then padding.
        lengths: tokens of each text; more than L where it was cut.
    """

    tokens: Int[Array, "B L"]
    lengths: Int[Array, "B"]


def span_corruption(
    tokens: Int[Array, "B L"],
    is_masked: Bool[Array, "B L"],
    *,
    inputs_length: int,
    targets_length: int,
    first_sentinel_id: int,
    num_sentinels: int = 100,
    eos_id: int | None = 1,
    pad_id: int = 0,
    is_valid: Bool[Array, "B L"] | None = None,
) -> SpanCorruption:
    """Moves each hidden span to the targets and leaves a sentinel in its place.

    Raffel et al. 2020 (T5, section 3.1.4 and the released preprocessing): sentinels descend from
    the last id of the vocabulary, one a span, and targets end in EOS without a closing sentinel
    (figure 2 has one; the released masks end hidden and give none). For masks of any rule, a span
    being a run of hidden positions.

    Inputs or targets that are too long lose their last tokens, EOS keeps its slot, and the lengths
    tell; `span_corruption_lengths` gives sizes at which `t5_spans` never cuts. Spans after the last
    sentinel stay visible.

    Args:
        tokens: ids of the text; none of them a sentinel, EOS or padding.
        is_masked: True = hidden.
        inputs_length: slots of the inputs, static.
        targets_length: slots of the targets, static.
        first_sentinel_id: sentinel of the first span; the k-th is `first_sentinel_id - k`. T5:
            vocab_size - 1.
        num_sentinels: how many there are.
        eos_id: ends inputs and targets; None for no end.
        pad_id: fills them up.
        is_valid: True = not padding; what is not is left out.

    Returns:
        The SpanCorruption; `restore_spans` undoes it.

    Raises:
        ValueError: a length below 1, sentinels below 0 or among which EOS or padding are, tokens
            that are no whole numbers, or flags that are not boolean or of another shape.

    Examples:
        >>> corrupted = span_corruption(
        ...     jnp.array([[11, 12, 13, 14, 15]]), jnp.array([[0, 1, 1, 0, 1]], bool),
        ...     inputs_length=6, targets_length=7, first_sentinel_id=199)
        >>> corrupted.inputs.tolist(), corrupted.targets.tolist()
        ([[11, 199, 14, 198, 1, 0]], [[199, 12, 13, 198, 15, 1, 0]])
    """
    check_whole("inputs_length", inputs_length)
    check_whole("targets_length", targets_length)
    _check_sentinels(first_sentinel_id, num_sentinels, eos_id, pad_id)
    tokens, is_masked = as_integers("tokens", tokens), as_flags("is_masked", is_masked)
    is_valid = as_flags("is_valid", jnp.ones_like(is_masked) if is_valid is None else is_valid)
    check_rows("tokens", tokens)
    check_shapes("tokens", tokens.shape, is_masked=is_masked, is_valid=is_valid)
    is_hidden = is_masked & is_valid
    is_start = is_hidden & run_starts(is_hidden.astype(jnp.int32))
    number = jnp.cumsum(is_start, axis=1, dtype=jnp.int32) - 1
    is_hidden, is_start = is_hidden & (number < num_sentinels), is_start & (number < num_sentinels)
    sentinels = (first_sentinel_id - number).astype(tokens.dtype)
    inputs, inputs_lengths = _pack(
        jnp.where(is_start, sentinels, tokens),
        is_valid & (is_start | ~is_hidden),
        inputs_length, eos_id, pad_id,
    )  # fmt: skip
    # Two slots a position: its span's sentinel where that starts, and the token.
    flat = (len(tokens), 2 * tokens.shape[1])
    targets, targets_lengths = _pack(
        jnp.stack([sentinels, tokens], axis=2).reshape(flat),
        jnp.stack([is_start, is_hidden], axis=2).reshape(flat),
        targets_length, eos_id, pad_id,
    )  # fmt: skip
    return SpanCorruption(inputs, targets, inputs_lengths, targets_lengths)


def restore_spans(
    inputs: Int[Array, "B inputs"],
    targets: Int[Array, "B targets"],
    *,
    length: int,
    first_sentinel_id: int,
    num_sentinels: int = 100,
    eos_id: int | None = 1,
    pad_id: int = 0,
) -> RestoredSpans:
    """Rebuilds the text: puts the tokens that follow a sentinel in the targets in its place.

    The inverse of `span_corruption`, exact where that did not cut. Also for predicted targets: a
    sentinel that the targets lack gives nothing, and tokens of a sentinel that the inputs lack, or
    before the first one, are left out.

    Args:
        inputs: as `span_corruption` returns them; the first EOS or padding ends them.
        targets: the same.
        length: L, static; a longer text is cut.
        first_sentinel_id: as for `span_corruption`.
        num_sentinels: as for `span_corruption`.
        eos_id: as for `span_corruption`.
        pad_id: as for `span_corruption`; fills up the rows.

    Returns:
        The RestoredSpans.

    Raises:
        ValueError: a length below 1, sentinels below 0 or among which EOS or padding are, or ids
            that are no whole numbers.

    Examples:
        >>> inputs = jnp.array([[11, 199, 14, 198, 1]])
        >>> targets = jnp.array([[199, 12, 13, 198, 15]])
        >>> tokens, lengths = restore_spans(inputs, targets, length=6, first_sentinel_id=199)
        >>> tokens.tolist(), lengths.tolist()
        ([[11, 12, 13, 14, 15, 0]], [5])
    """
    check_whole("length", length)
    _check_sentinels(first_sentinel_id, num_sentinels, eos_id, pad_id)
    inputs, targets = as_integers("inputs", inputs), as_integers("targets", targets)
    check_rows("inputs", inputs)
    check_rows("targets", targets)

    def read(ids):
        """Flags of text and of sentinels before the end, and the numbers of the sentinels."""
        is_end = (ids == pad_id) | (ids == (pad_id if eos_id is None else eos_id))
        is_before_end = jnp.cumsum(is_end) == 0
        number = first_sentinel_id - ids
        is_sentinel = (number >= 0) & (number < num_sentinels)
        is_text = is_before_end & ~is_sentinel
        return is_text, is_before_end & is_sentinel, jnp.clip(number, 0, num_sentinels - 1)

    def merge(inputs, targets):
        """What to keep of inputs and targets, sorted by its place in the inputs."""
        slots = jnp.arange(inputs.size, dtype=jnp.int32)
        is_text, is_sentinel, number = read(inputs)
        slot_of = jnp.full(num_sentinels, inputs.size, jnp.int32)
        slot_of = slot_of.at[number].min(jnp.where(is_sentinel, slots, inputs.size))
        is_answer, is_sentinel, number = read(targets)
        latest = jnp.where(is_sentinel, jnp.arange(targets.size, dtype=jnp.int32), -1)
        latest = jax.lax.cummax(latest)
        place = jnp.where(latest >= 0, slot_of[number[latest]], inputs.size)
        is_answer &= place < inputs.size
        is_kept = jnp.concatenate([is_text, is_answer])
        places = jnp.where(is_kept, jnp.concatenate([slots, place]), inputs.size)
        values = jnp.concatenate([inputs, targets.astype(inputs.dtype)])
        places, values = jax.lax.sort((places, values), num_keys=1)
        return values, places < inputs.size

    values, is_kept = jax.vmap(merge)(inputs, targets)
    return RestoredSpans(*_pack(values, is_kept, length, None, pad_id))


def span_corruption_lengths(
    length: int,
    ratio: float = 0.15,
    mean_span_length: int | float = 3.0,
    *,
    num_sentinels: int = 100,
    has_eos: bool = True,
) -> tuple[int, int]:
    """Static sizes at which span corruption of `t5_spans` never cuts.

    Raffel et al. 2020 (T5, the released `random_spans_helper`): with n hidden tokens in s spans,
    length - n + s + 1 inputs and n + s + 1 targets. Neither grows where the text is shorter, so one
    pair serves rows of all lengths up to `length`, each with its `t5_num_masked`. For other rules,
    s can be as large as n.

    Args:
        length: L, most tokens in a row; T5's 512 inputs take 568.
        ratio: hidden share, strictly between 0 and 1.
        mean_span_length: as for `t5_spans`.
        num_sentinels: as for `span_corruption`.
        has_eos: False where `eos_id` is None.

    Returns:
        inputs_length and targets_length.

    Raises:
        ValueError: a length below 1, a ratio or mean out of range, or too few sentinels.

    Examples:
        >>> span_corruption_lengths(568)
        (512, 114)
    """
    check_whole("length", length)
    num_masked = num_noise(length, ratio)
    spans = min(num_spans(num_masked, mean_span_length), num_masked, length - num_masked)
    if spans > num_sentinels:
        raise ValueError(
            f"{spans} spans need a sentinel each, but num_sentinels is {num_sentinels}; "
            "use longer spans or more sentinels"
        )
    return length - num_masked + spans + has_eos, max(1, num_masked + spans + has_eos)


def _check_sentinels(
    first_sentinel_id: int, num_sentinels: int, eos_id: int | None, pad_id: int
) -> None:
    check_whole("first_sentinel_id", first_sentinel_id, least=None)
    check_whole("num_sentinels", num_sentinels, least=None)
    check_whole("pad_id", pad_id, least=None)
    if eos_id is not None:
        check_whole("eos_id", eos_id, least=None, hint=", or None for no end")
    last = first_sentinel_id - num_sentinels + 1
    if num_sentinels < 1 or last < 0:
        raise ValueError(
            f"{num_sentinels} sentinels from id {first_sentinel_id} down: give at least 1, and "
            "none below id 0; T5 has 100 from vocab_size - 1 down"
        )
    for name, value in (("eos_id", eos_id), ("pad_id", pad_id)):
        if value is not None and last <= value <= first_sentinel_id:
            raise ValueError(
                f"{name} {value} is one of the sentinels {last} ... {first_sentinel_id}"
            )


def _pack(
    values: Int[Array, "B slots"],
    is_kept: Bool[Array, "B slots"],
    length: int,
    eos_id: int | None,
    pad_id: int,
) -> tuple[Int[Array, "B length"], Int[Array, "B"]]:
    """The kept values of each row, EOS, padding; and how many slots that takes."""
    _, packed = jax.lax.sort(((~is_kept).astype(jnp.int32), values), num_keys=1)
    packed = jnp.pad(packed[:, :length], ((0, 0), (0, max(0, length - packed.shape[1]))))
    counts = is_kept.sum(axis=1, dtype=jnp.int32)
    slots = jnp.arange(length)[None]
    packed = jnp.where(slots < counts[:, None], packed, pad_id)
    if eos_id is None:
        return packed, counts
    packed = jnp.where(slots == jnp.minimum(counts, length - 1)[:, None], eos_id, packed)
    return packed, counts + 1
