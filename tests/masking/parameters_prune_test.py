"""Parameter trees: what is eligible, the three cuts, and masks that hold whatever trains."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax import masking
from maskjax.masking import parameters

KEY = jax.random.key(0)
SHAPES = {
    "Dense_0": {"kernel": (4, 6), "bias": (6,)},
    "Dense_1": {"kernel": (8, 3), "bias": (3,)},
    "LayerNorm_0": {"scale": (6,), "bias": (6,)},
    "Embed_0": {"embedding": (10, 4)},
    "mask_token": (6,),
    "positions": {"table": (9, 6)},
    "scalar": (),
}
PRUNED = ("Dense_0/kernel", "Dense_1/kernel", "scalar")


def _is_shape(node):
    return isinstance(node, tuple)


def _random(seed, levels=None):
    """A tree of weights; with levels, of few distinct numbers and so many ties."""
    random = np.random.RandomState(seed)
    make = (
        random.standard_normal if levels is None else lambda s: random.randint(-levels, levels, s)
    )
    return jax.tree.map(lambda s: jnp.float32(make(s)), SHAPES, is_leaf=_is_shape)


def _by_path(tree):
    return dict(zip(parameters.leaf_paths(tree), map(np.asarray, jax.tree.leaves(tree))))


ELIGIBLE = parameters.eligible(_random(0), exclude=parameters.USUALLY_DENSE)
EVERY_HALF = parameters.uniform(_random(0), ELIGIBLE, sparsity=0.5)


def test_biases_norms_and_embeddings_are_excluded_by_the_usual_patterns():
    flags = dict(zip(parameters.leaf_paths(ELIGIBLE), jax.tree.leaves(ELIGIBLE)))
    assert tuple(path for path, flag in flags.items() if flag) == PRUNED
    assert len(flags) == 10


def test_patterns_are_found_anywhere_in_a_path():
    flags = parameters.eligible(_random(0), include=("Dense",), exclude=("_1/", "bias$"))
    assert [p for p, f in _by_path(flags).items() if f] == ["Dense_0/kernel"]
    flags = parameters.eligible({"layers": [{"w": 0}, {"w": 0}]}, exclude=("layers/0",))
    assert flags == {"layers": [{"w": False}, {"w": True}]}


@functools.cache
def _scoring(rule):
    score = functools.partial(parameters.score_leaves, masking.make_rule(rule), KEY)
    return jax.jit(lambda params, trees: score(params, EVERY_HALF, **trees))


def _score(rule, params, sparsities=EVERY_HALF, **trees):
    if sparsities is EVERY_HALF:
        return _scoring(rule)(params, trees)
    return parameters.score_leaves(masking.make_rule(rule), KEY, params, sparsities, **trees)


TREES = {
    "magnitude": (),
    "weight_blocks": (),
    "saliency": ("gradients",),
    "movement": ("movement",),
}


@pytest.mark.parametrize("rule", TREES)
def test_scores_of_leaves_are_those_of_the_rule_and_none_elsewhere(rule):
    params, trees = _random(0), {name: _random(1) for name in TREES[rule]}
    scores = _score(rule, params, **trees)
    assert parameters.leaf_paths(scores) == list(PRUNED)
    function = masking.RULES[rule].score
    for path, leaf in _by_path(scores).items():
        shape = leaf.shape or (1,)
        arrays = {"weights": params} | trees
        arrays = {name: _by_path(tree)[path].reshape(shape) for name, tree in arrays.items()}
        taken = inspect.signature(function).parameters
        arrays = {name: jnp.asarray(array) for name, array in arrays.items() if name in taken}
        expected = jax.jit(functools.partial(function, KEY, shape, 0))(**arrays)
        np.testing.assert_array_equal(leaf.reshape(-1), expected)


def test_random_scores_of_leaves_differ_and_follow_the_key():
    scores = [_by_path(_score("random", _random(seed))) for seed in (0, 1)]
    for path in PRUNED:
        np.testing.assert_array_equal(scores[0][path], scores[1][path])
    assert (scores[0][PRUNED[0]].ravel() != scores[0][PRUNED[1]].ravel()).all()


def test_a_rule_is_told_how_many_weights_of_a_leaf_will_be_hidden():
    def count(key, grid, num_masked):
        return jnp.full(masking.grid_length(grid), num_masked, jnp.float32)

    scores = parameters.score_leaves(count, KEY, _random(0), EVERY_HALF)
    counts = {path: leaf.max() for path, leaf in _by_path(scores).items()}
    assert counts == {"Dense_0/kernel": 12, "Dense_1/kernel": 12, "scalar": 1}


def test_a_rule_that_follows_the_step_gets_it():
    first, second = (_by_path(_score("sliding", _random(0), step=s)) for s in (0, 1))
    along = [scores[PRUNED[0]].T.ravel() for scores in (first, second)]  # columns one after another
    np.testing.assert_array_equal(np.roll(along[0], 1), along[1])


def slow_hide(ranked, count, best):
    """Walk from the highest score down, the later of equals first, past those that must stay."""
    hidden = [at for at in ranked[::-1] if at not in best]
    return set(hidden[: max(count, 0)])


def slow_cut(scores, sparsities, globally):
    """Sets of (path, index): per leaf, or one walk over all."""
    ranked = sorted(
        ((path, i) for path in PRUNED for i in range(scores[path].size)),
        key=lambda at: (scores[at[0]].ravel()[at[1]], PRUNED.index(at[0]), at[1]),
    )
    first = {path: next(at for at in ranked if at[0] == path) for path in PRUNED}
    if globally:
        count = parameters.num_masked_from_sparsity(len(ranked), sparsities)
        return slow_hide(ranked, count, set(first.values()))
    hidden = set()
    for path in PRUNED:
        own = [at for at in ranked if at[0] == path]
        count = parameters.num_masked_from_sparsity(len(own), sparsities[path])
        hidden |= slow_hide(own, count, {first[path]})
    return hidden


CUT_LEAVES, CUT_GLOBALLY = jax.jit(parameters.cut_leaves), jax.jit(parameters.cut_globally)
N_OF_M = jax.jit(parameters.cut_n_of_m, static_argnums=(1, 2), static_argnames="axis")
SHARE = st.floats(0, 1, exclude_max=True, width=32)


@given(st.integers(0, 2**20), st.lists(SHARE, min_size=3, max_size=3))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_cuts_are_those_of_a_walk_down_the_scores(seed, shares):
    scores = _score("magnitude", _random(seed, levels=4))
    structure = jax.tree.structure(scores)
    sparsities = structure.unflatten([jnp.float32(share) for share in shares])
    by_leaf = CUT_LEAVES(scores, sparsities)
    globally = CUT_GLOBALLY(scores, jnp.float32(shares[0]))
    for param_masks, hidden in [
        (by_leaf, slow_cut(_by_path(scores), dict(zip(PRUNED, shares)), False)),
        (globally, slow_cut(_by_path(scores), shares[0], True)),
    ]:
        assert jax.tree.structure(param_masks) == structure
        for path, kept in _by_path(param_masks).items():
            assert kept.dtype == bool
            expected = [(path, i) not in hidden for i in range(kept.size)]
            np.testing.assert_array_equal(kept.ravel(), expected)
            assert kept.any()  # at least one weight of each leaf


def test_static_sparsities_cut_as_traced_ones_do():
    scores = _score("magnitude", _random(0))
    sparsities = jax.tree.map(jnp.float32, EVERY_HALF)
    static = jax.jit(lambda scores: parameters.cut_leaves(scores, EVERY_HALF))(scores)
    jax.tree.map(np.testing.assert_array_equal, static, CUT_LEAVES(scores, sparsities))
    static = jax.jit(lambda scores: parameters.cut_globally(scores, 0.7))(scores)
    jax.tree.map(np.testing.assert_array_equal, static, CUT_GLOBALLY(scores, jnp.float32(0.7)))


def test_masks_follow_a_traced_schedule_without_compiling_again():
    params, final = _random(0), parameters.erk(_random(0), ELIGIBLE, sparsity=0.8)

    @jax.jit
    def masks_at(step, params):
        sparsities = parameters.cubic(step, sparsity=final, start_step=0, end_step=10)
        scores = _score("magnitude", params, sparsities)
        return parameters.cut_leaves(scores, sparsities)

    before = None
    for step in (0, 3, 6, 10, 20):
        param_masks = masks_at(jnp.int32(step), params)
        p = min(step / 10, 1)
        for path, kept in _by_path(param_masks).items():
            share = float(_by_path(final)[path]) * (1 - (1 - p) ** 3)
            expected = min(kept.size * share, kept.size - 1)  # a lone weight is kept
            assert abs((~kept).sum() - expected) <= 0.5 + 1e-4
        if before is not None:  # the weights stay: what is hidden stays hidden
            assert all(
                jax.tree.leaves(jax.tree.map(lambda a, b: (a >= b).all(), before, param_masks))
            )
        before = param_masks
    assert masks_at._cache_size() == 1


@given(st.integers(0, 2**20), st.sampled_from([(2, 4), (1, 2), (3, 4), (4, 4)]))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_n_of_m_keeps_the_lowest_scores_of_every_group(seed, pattern):
    num_kept, group = pattern
    scores = {
        name: leaf["kernel"] for name, leaf in _random(seed, levels=3).items() if "Dense" in name
    }
    param_masks = N_OF_M(scores, num_kept, group)
    for name, kept in param_masks.items():
        for column in range(kept.shape[1]):
            for start in range(0, kept.shape[0], group):
                own = np.asarray(scores[name])[start : start + group, column]
                order = sorted(range(group), key=lambda i: (own[i], i))[:num_kept]
                flags = np.asarray(kept)[start : start + group, column]
                assert sorted(order) == np.flatnonzero(flags).tolist()


def test_n_of_m_along_another_axis_is_that_of_the_transpose():
    scores = _random(0)["Dense_0"]["kernel"]
    across = N_OF_M(scores, 1, 3, axis=1)
    np.testing.assert_array_equal(across, N_OF_M(scores.T, 1, 3).T)
    assert (np.asarray(across).reshape(4, 2, 3).sum(axis=2) == 1).all()


def _masked():
    params = _random(0)
    return params, CUT_LEAVES(_score("magnitude", params), jax.tree.map(jnp.float32, EVERY_HALF))


def test_apply_zeroes_what_is_hidden_and_leaves_the_rest_and_other_leaves_alone():
    params, param_masks = _masked()
    kept = _by_path(param_masks)
    for path, leaf in _by_path(parameters.apply(params, param_masks)).items():
        expected = np.where(kept.get(path, True), _by_path(params)[path], 0)
        np.testing.assert_array_equal(leaf, expected)
    numbers = jax.tree.map(lambda flags: flags.astype(jnp.float32), param_masks)
    jax.tree.map(
        np.testing.assert_array_equal,
        parameters.apply(params, numbers),
        parameters.apply(params, param_masks),
    )


def test_hidden_weights_get_zero_gradient_and_their_nan_stays_hidden():
    kept = jnp.array([True, False])
    loss = lambda w: (parameters.apply(w, kept) ** 2).sum()  # noqa: E731
    assert jax.value_and_grad(loss)(jnp.array([3.0, jnp.nan]))[1].tolist() == [6.0, 0.0]


@pytest.mark.parametrize(
    "optimizer",
    [optax.adamw(0.1, weight_decay=0.1), optax.sgd(0.1, momentum=0.9)],
    ids=["weight decay", "momentum"],
)
def test_weights_stay_hidden_where_masked_gradients_alone_would_let_them_move(optimizer):
    """Hidden in mid-run: momentum and decay still move the weight, and apply hides it."""
    params = {"w": jnp.array([1.0, 2.0])}
    state, param_masks = optimizer.init(params), {"w": jnp.array([True, False])}
    updates, state = optimizer.update({"w": jnp.ones(2)}, state, params)
    params = optax.apply_updates(params, updates)
    before = float(params["w"][1])
    gradients = parameters.apply({"w": jnp.ones(2)}, param_masks)
    updates, state = optimizer.update(gradients, state, params)
    params = optax.apply_updates(params, updates)
    assert float(params["w"][1]) != before
    assert parameters.apply(params, param_masks)["w"][1] == 0


def test_flags_of_leaves_are_what_optax_masked_takes_and_masks_of_weights_are_not():
    params = {"w": jnp.ones(2), "b": jnp.ones(2)}
    optimizer = optax.masked(optax.sgd(0.5), {"w": True, "b": False})
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    assert updates["w"].tolist() == [-0.5, -0.5]
    assert updates["b"].tolist() == [1.0, 1.0]  # the trap: the raw gradient, upwards
    with pytest.raises(ValueError, match=r"truth value|ambiguous"):
        optax.masked(optax.sgd(0.5), {"w": jnp.array([True, False]), "b": True}).init(params)


def test_movement_accumulates_minus_weight_times_gradient():
    moved, expected = jax.tree.map(jnp.zeros_like, _random(0)), 0
    for seed in range(3):
        params, gradients = _random(seed), _random(seed + 10)
        moved = jax.jit(parameters.accumulate_movement)(moved, params, gradients)
        expected = expected - _by_path(params)[PRUNED[0]] * _by_path(gradients)[PRUNED[0]]
    np.testing.assert_allclose(_by_path(moved)[PRUNED[0]], expected, rtol=1e-5, atol=1e-6)


def test_sparsity_reports_every_leaf_and_the_total():
    param_masks = {"a": jnp.arange(8) < 2, "b": [jnp.ones((3, 4), bool), None]}
    shares = {name: float(share) for name, share in parameters.sparsity(param_masks).items()}
    assert shares == pytest.approx({"a": 0.75, "b/0": 0.0, "total": 0.3})


KERNEL = {"a": {"kernel": jnp.ones((6, 2))}}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: parameters.eligible(KERNEL, include=("kernle",), exclude=()),
            "'kernle' is found in",
        ),
        (
            lambda: parameters.eligible(KERNEL, exclude=("a",)),
            "leaves nothing to prune; the paths: .",
        ),
        (
            lambda: parameters.cut_n_of_m(KERNEL, 2, 4),
            r"a/kernel of shape \(6, 2\) has no axis -2 of",
        ),
        (lambda: parameters.cut_n_of_m(KERNEL, 2, 3, axis=2), "has no axis 2 of a multiple of 3"),
        (lambda: parameters.cut_n_of_m(KERNEL, 0, 2), "num_kept 0 must be from 1 to the 2"),
        (lambda: parameters.cut_n_of_m(KERNEL, 3, 2), "num_kept 3 must be from 1 to the 2"),
        (lambda: parameters.cut_leaves(KERNEL, {"a": {"kernel": 1.0}}), "sparsity 1.0 must be"),
        (lambda: parameters.cut_globally(KERNEL, 1.5), "sparsity 1.5 must be at least 0"),
        (
            lambda: _score("saliency", _random(0)),
            "rule saliency needs gradients",
        ),
        (
            lambda: _score("magnitude", _random(0), gradients=_random(1)),
            "rule magnitude takes no 'gradients'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_nan_scores_are_hidden_first_by_every_cut():
    scores = {"a": jnp.array([jnp.nan, -1.0]), "b": jnp.array([-3.0, -4.0])}
    expected = {"a": [False, True], "b": [True, True]}
    assert (
        jax.tree.map(np.ndarray.tolist, jax.device_get(parameters.cut_globally(scores, 0.25)))
        == expected
    )
    leaf = parameters.cut_leaves(scores["a"], 0.5)
    assert (
        leaf.tolist() == parameters.cut_n_of_m(scores["a"], 1, 2, axis=0).tolist() == [False, True]
    )


def test_movement_in_bfloat16_is_summed_in_float32():
    # 1 + 2^-8 is no number of bfloat16.
    one = jnp.ones(1, jnp.bfloat16)
    movement = parameters.accumulate_movement(one, one, -one / 256)
    assert movement.tolist() == [1 + 2**-8]


def test_embeddings_of_every_kind_are_usually_dense():
    names = ("table", "types", "cls_token", "patch_embed", "tables")
    tree = {"encoder": {**dict.fromkeys(names, 0), "positions": {"table": 0}}, "kernel": 0}
    found = parameters.eligible(tree, exclude=parameters.USUALLY_DENSE)
    flags = dict(zip(parameters.leaf_paths(tree), jax.tree.leaves(found), strict=True))
    assert [path for path, is_chosen in flags.items() if is_chosen] == ["encoder/tables", "kernel"]
