"""Parameter masks that change: exact cuts without a sort, when and how much, what goes together."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.masking import parameters
from maskjax.masking.parameters import METHODS, granularity, options_of, select, timing
from maskjax.workdir import plan

PAGE = Path(parameters.__file__).with_name("README.md").read_text()


def test_the_lowest_of_many_are_those_of_a_stable_sort():
    flags = jax.jit(select.lowest_flags)
    for seed in range(20):
        random = np.random.default_rng(seed)
        scores = random.integers(-3, 4, 60).astype(np.float32) * 10.0 ** random.integers(-30, 30)
        scores[random.random(60) < 0.1] = np.nan
        scores[random.random(60) < 0.1] = -np.inf
        scores[random.random(60) < 0.1] = -0.0
        order = np.argsort(scores, kind="stable")  # NaN last, as 0 and -0 are equal
        for count in (0, 1, int(random.integers(2, 60)), 60):
            wanted = np.zeros(60, bool)
            wanted[order[:count]] = True
            np.testing.assert_array_equal(flags(scores, count), wanted)


def test_changes_come_at_the_steps_that_are_named():
    at = jnp.arange(12)
    tables = {
        ("magnitude", ()): [0] * 12,
        ("magnitude", (("begin_step", 3),)): [-1] * 3 + [3] * 9,
        ("random", (("begin_step", 1), ("every_steps", 4))): [-1] + [1] * 4 + [5] * 4 + [9] * 3,
        # The last change is the end's, which the interval does not hit.
        ("gradual", (("every_steps", 4), ("end_step", 10))): [0] * 4 + [4] * 4 + [8] * 2 + [10] * 2,
        ("rigl", (("every_steps", 4), ("end_step", 10))): [0] * 4 + [4] * 4 + [8] * 4,
        ("dense_sparse_dense", ()): [-1] * 4 + [4] * 4 + [8] * 4,
    }
    for (method, given), wanted in tables.items():
        options = options_of({"method": method, **dict(given)}, 12)
        assert timing.latest_change(options, at).tolist() == wanted, method


@pytest.mark.parametrize("schedule", ["linear", "cosine", "cubic"])
def test_the_share_rises_by_its_schedule_to_exactly_the_whole(schedule):
    given = {"method": "gradual", "schedule": schedule, "begin_step": 3, "end_step": 10}
    options = options_of(given | {"every_steps": 1}, 20)
    p = np.clip((np.arange(20) - 3) / 7, 0, 1)
    wanted = {"linear": p, "cosine": (1 - np.cos(np.pi * p)) / 2, "cubic": 1 - (1 - p) ** 3}
    reached = timing.share_reached(options, jnp.arange(20))
    np.testing.assert_allclose(reached, wanted[schedule], atol=1e-6)
    assert (reached[10:] == 1).all()


def test_groups_have_the_mean_score_of_their_weights_and_are_hidden_whole():
    scores = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    tiles = {(i, j): scores[i : i + 2, j : j + 2].mean() for i in (0, 2, 4) for j in (0, 2, 4)}
    wanted = {
        "entry": scores,
        "row": scores.mean(axis=1),
        "neuron": scores.mean(axis=0),
        "block": np.reshape([*tiles.values()], (3, 3)),
    }
    for name, pooled in wanted.items():
        groups = granularity.groups_of(name, "kernel", (5, 6), 2, 0)
        np.testing.assert_allclose(groups.pool(jnp.asarray(scores)), pooled, rtol=1e-6)
    groups = granularity.groups_of("block", "kernel", (5, 6), 2, 0)
    flags = groups.spread(jnp.arange(9).reshape(3, 3) == 5)  # the last tile of the second row
    assert np.argwhere(np.asarray(flags)).tolist() == [[2, 4], [2, 5], [3, 4], [3, 5]]


def test_a_head_is_hidden_in_all_kernels_of_its_layer():
    paths = ["attn/query/kernel", "attn/out/kernel"]
    query, out = (granularity.groups_of("head", path, (4, 4), 0, 2) for path in paths)
    first = jnp.array([True, False])
    assert np.asarray(query.spread(first)).all(axis=0).tolist() == [True, True, False, False]
    assert np.asarray(out.spread(first)).all(axis=1).tolist() == [True, True, False, False]
    scores = {"attn": {"query": {"kernel": jnp.array([1.0, 5.0])}}}
    scores["attn"]["out"] = {"kernel": jnp.array([3.0, 1.0])}
    means = jax.tree.leaves(granularity.same_in_layer(scores))
    assert [mean.tolist() for mean in means] == [[2.0, 3.0]] * 2


def _first(given, params):
    """The masks before the first step."""
    engine = parameters.make_engine(options_of(given, 10), params)
    return jax.tree.leaves(jax.jit(engine.begin)(params, jax.random.key(0))[1].masks)


def test_what_is_hidden_and_when_is_said():
    params = {"a": {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)}, "b": {"kernel": jnp.ones(8)}}
    told = {
        ("rigl", (("density", "uniform"), ("sparsities", (("^a", 0.75),)))): (
            "66.67 % of 24 weights in 2 leaves, by rule 'magnitude', hides 'weights', from step 0, "
            "anew every 2 steps to 75"
        ),
        ("dense_sparse_dense", ()): (
            "30 % of 24 weights in 2 leaves, by rule 'magnitude', hides 'weights', from step 33, "
            "until 67"
        ),
    }
    for (method, given), words in told.items():
        options = options_of({"method": method, **dict(given)}, 100)
        assert plan.hidden(params, parameters.make_engine(options, params)) == words


@pytest.mark.parametrize("sparsity", [0.3, 0.45])
def test_heads_of_all_layers_are_hidden_whole_where_they_are_cut_together(sparsity):
    rng = np.random.default_rng(0)
    kernels = ("query", "key", "value", "out")
    draw = lambda: {name: {"kernel": jnp.float32(rng.normal(size=(8, 8)))} for name in kernels}  # noqa: E731
    params = {"block0": {"attn": draw()}, "block1": {"attn": draw()}}
    given = {"method": "global_magnitude", "granularity": "head", "num_heads": 4}
    masks = _first(given | {"sparsity": sparsity}, params)
    heads = [  # key, out, query and value of each layer, [4]
        np.asarray(x if i % 4 != 1 else x.T).reshape(8, 4, 2)[0, :, 0] for i, x in enumerate(masks)
    ]
    for layer in (heads[:4], heads[4:]):
        assert (np.stack(layer) == layer[0]).all()
    hidden = sum(int((~kept).sum()) for kept in (heads[0], heads[4]))
    assert hidden == int(8 * sparsity + 0.5)
    assert sum(int((~x).sum()) for x in masks) == hidden * 4 * 16


def test_shares_of_single_leaves_and_erk_are_counted_exactly():
    params = {"a": {"kernel": jnp.ones((4, 6))}, "b": {"kernel": jnp.ones((8, 8))}}
    given = {"method": "random", "sparsities": (("^a/", 0.25),), "sparsity": 0.9}
    assert [int(x.sum()) for x in _first(given, params)] == [18, 64 - 58]  # of 57.6, rounded
    # 44 of 88 are kept, in proportion to 10 and 16.
    kept = [int(x.sum()) for x in _first({"method": "rigl", "sparsity": 0.5}, params)]
    assert kept == [17, 27]  # of 16.9 and 27.1


def test_one_weight_of_each_leaf_stays_and_of_equals_the_lowest_index():
    params = {"a": {"kernel": jnp.ones((2, 2))}, "b": {"kernel": jnp.ones((3, 1))}}
    for method in ("magnitude", "global_magnitude"):
        masks = _first({"method": method, "sparsity": 0.99}, params)
        kept = [np.flatnonzero(x).tolist() for x in masks]
        assert kept == [[0], [0]]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_together_with_itself_and_is_on_the_page(method):
    options = options_of({"method": method}, total_steps=1000)
    assert options is not None
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{method}` |"))
    shown = re.findall(r"`(\w+)=([^`]+)`", row)
    assert {name: eval(value) for name, value in shown} == METHODS[method].keys
