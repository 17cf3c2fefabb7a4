"""Entities are counted as seqeval counts them."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.evaluation.entities import Entities, Tags, entities, spans
from maskjax.evaluation.metrics import numbers, tables

CASES = json.loads(Path(__file__).with_name("seqeval.json").read_text())
ROWS = [row for case in CASES for key in ("true", "said") for row in case[key]]
NAMES = sorted({tag for row in ROWS for tag in row})
LENGTH = 14
_count = jax.jit(lambda *rows: entities(Tags.of(NAMES), *rows))


def rows_of(case):
    """Numbers of tags at the first pieces of words, of which some have others behind them."""
    rng = np.random.default_rng(0)
    true, said = (rng.integers(0, len(NAMES), (len(case["true"]), LENGTH)) for _ in range(2))
    is_word = np.zeros(true.shape, bool)
    for row, words in enumerate(case["true"]):
        places = np.sort(rng.permutation(LENGTH)[: len(words)])
        is_word[row, places] = True
        true[row, places] = [NAMES.index(tag) for tag in words]
        said[row, places] = [NAMES.index(tag) for tag in case["said"][row]]
    return jnp.asarray(true, jnp.int32), jnp.asarray(said, jnp.int32), jnp.asarray(is_word)


@pytest.mark.parametrize("case", CASES)
def test_numbers_are_seqevals(case):
    found = {"": jax.device_get(_count(*rows_of(case)))}
    recorded = {name: x for name, x in case["numbers"].items() if name != "accuracy"}
    assert numbers(found) == pytest.approx(recorded, abs=1e-6)
    table = tables(found, NAMES)["per_type"].as_dict()
    for name, row in case["per_type"].items():
        assert [*table[name].values()] == pytest.approx(row, abs=1e-6)


def test_counts_of_two_halves_add_up():
    rows = rows_of(CASES[0])
    whole, *halves = (_count(*(x[part] for x in rows)) for part in (..., slice(6), slice(6, None)))
    for total, *parts in zip(whole, *halves, strict=True):
        np.testing.assert_array_equal(total, sum(parts))


def test_entities_on_the_host_are_the_same():
    for case in CASES:
        there, said = ([{*spans(row)} for row in case[key]] for key in ("true", "said"))
        counts = jax.device_get(_count(*rows_of(case)))
        assert counts.true.sum() == sum(map(len, there))
        assert counts.hit.sum() == sum(len(a & b) for a, b in zip(there, said, strict=True))


def test_nothing_to_find_gives_zeros_as_seqeval():
    none = Entities(*np.zeros((3, 2)))
    assert set(none.numbers("x").values()) == {0.0}
