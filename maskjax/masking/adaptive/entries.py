"""Sums per position or per vocabulary entry, and weights of entries laid out over rows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from maskjax.masking.checks import (
    as_flags,
    as_integers,
    check_number,
    check_shapes,
    check_whole,
)
from maskjax.typing import Array, Bool, Float, Int


def check_entries(num_entries: int) -> None:
    """Refuses a state with nothing in it."""
    check_whole("num_entries", num_entries, least=None)
    if num_entries < 1:
        raise ValueError(f"{num_entries} entries: there must be at least 1")


def check_kind(name: str, given: Any, kind: type) -> None:
    """Refuses what is not the state, or the statistics, of these functions."""
    if not isinstance(given, kind):
        source = "`init` makes one" if name == "state" else "`statistics` makes them"
        raise ValueError(f"{name} of type {type(given).__name__}: give {kind.__name__}; {source}")


def check_share(name: str, value: int | float) -> None:
    """Refuses what is no share."""
    value = check_number(name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} {value} must be from 0 to 1")


def is_static(value: int | float | np.number | Array) -> bool:
    """Whether a number can be looked at before a program runs."""
    return np.ndim(value) == 0 and not isinstance(value, Tracer)


def check_rate(rate: int | float | np.number | Array) -> None:
    """Refuses a static rate that is none."""
    if is_static(rate):
        rate = check_number("mask rate", rate)
    if is_static(rate) and not 0 < rate < 1:
        raise ValueError(f"mask rate {rate} must lie strictly between 0 and 1, for example 0.15")


def rate_shares(
    weights: Float[Array, "*b L"],
    rate: int | float | np.number | Float[Array, ""],
    is_candidate: Bool[Array, "*b L"] | None,
) -> Float[Array, "*b L"]:
    """Shares rate L w / sum w of the L candidates of each row, at most 1; 0 for what is not one."""
    if is_candidate is None:
        is_candidate = jnp.ones(weights.shape, bool)
    is_candidate = as_flags("is_candidate", is_candidate)
    check_shapes("weights", weights.shape, is_candidate=is_candidate)
    weights = jnp.where(is_candidate, weights, 0)
    num_real = is_candidate.sum(axis=-1, keepdims=True)
    total = jnp.maximum(weights.sum(axis=-1, keepdims=True), jnp.finfo(jnp.float32).tiny)
    return jnp.minimum(rate * num_real * weights / total, 1)


def sum_entries(
    values: Float[Array, "*b L"],
    is_counted: Bool[Array, "*b L"],
    ids: Int[Array, "*b L"] | None,
    num_entries: int | None,
) -> Float[Array, "N"]:
    """The sum of the counted values of each entry; without ids the positions are the entries."""
    if ids is not None:
        ids = as_integers("ids", ids)
    check_shapes("values", values.shape, is_counted=is_counted, ids=ids)
    values = jnp.where(is_counted, values, 0).astype(jnp.float32)  # what is not counted may be NaN
    if ids is None:
        if num_entries is not None:
            raise ValueError(f"num_entries {num_entries} without ids: give both or neither")
        return values.reshape(-1, values.shape[-1]).sum(axis=0)
    if num_entries is None:
        raise ValueError("ids without num_entries: give both or neither")
    check_entries(num_entries)
    return jax.ops.segment_sum(values.reshape(-1), ids.reshape(-1), num_segments=num_entries)
