"""Head importance against closed forms; the cut of heads against a loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax.masking import attention, heads

DEPTH, H = 3, 4


def test_importance_is_the_mean_absolute_gradient_at_weights_of_one():
    """Loss (sum_h xi_h c_h - y)^2 has the gradient 2 (sum c - y) c_h at xi = 1."""
    random = np.random.RandomState(0)
    c, y = random.randn(6, DEPTH, H), random.randn(6)
    loss = lambda xi, example: ((xi * example["c"]).sum() - example["y"]) ** 2  # noqa: E731
    examples = {"c": jnp.float32(c), "y": jnp.float32(y)}
    gradients = abs(2 * (c.sum(axis=(1, 2)) - y)[:, None, None] * c)
    measured = heads.importance(loss, (DEPTH, H), examples)
    np.testing.assert_allclose(measured, gradients.mean(axis=0), rtol=1e-5)
    is_valid = np.array([1, 0, 1, 1, 0, 0], bool)
    measured = heads.importance(loss, (DEPTH, H), examples, is_valid=jnp.array(is_valid))
    np.testing.assert_allclose(measured, gradients[is_valid].mean(axis=0), rtol=1e-5)


def test_examples_that_pull_in_opposite_directions_do_not_cancel():
    loss = lambda head_weights, x: (head_weights * x).sum()  # noqa: E731
    measured = heads.importance(loss, (1,), jnp.array([[3.0], [-3.0]]))
    assert measured.tolist() == [3.0]


def test_padding_of_a_batch_does_not_count_even_where_it_is_nan():
    loss = lambda head_weights, x: (head_weights * x).sum()  # noqa: E731
    examples = jnp.array([[2.0, -4.0], [jnp.nan, jnp.nan]])
    measured = heads.importance(loss, (2,), examples, is_valid=jnp.array([True, False]))
    assert measured.tolist() == [2.0, 4.0]
    nothing = heads.importance(loss, (2,), examples, is_valid=jnp.zeros(2, bool))
    assert nothing.tolist() == [0.0, 0.0]


def test_a_head_whose_output_the_model_ignores_is_the_first_to_go():
    """A model with attention: its output projection has zeros for head 2."""
    random = np.random.RandomState(1)
    x = jnp.float32(random.randn(5, 6, H, 8))
    kernel = jnp.float32(random.randn(H, 8)).at[2].set(0)

    def loss(head_weights, example):
        out = attention.attend(example, example, example, attention.causal())[None]
        return (heads.scale_heads(out, head_weights) * kernel[None, None]).sum() ** 2

    measured = jax.jit(lambda x: heads.importance(loss, (H,), x))(x)
    assert measured[2] == 0
    assert heads.cut_heads(measured, 1).tolist() == [True, True, False, True]


def test_a_head_that_is_cut_gives_zeros_by_its_weight_and_by_its_mask():
    x = jnp.float32(np.random.RandomState(2).randn(2, 3, H, 8))
    head_masks = jnp.array([True, False, False, True])

    @jax.jit
    def both(x, head_masks):
        scaled = heads.scale_heads(attention.attend(x, x, x), head_masks.astype(x.dtype))
        return scaled, attention.attend(x, x, x, attention.kept_heads(head_masks=head_masks))

    scaled, masked = both(x, head_masks)
    np.testing.assert_array_equal(scaled, masked)
    np.testing.assert_array_equal(masked.any(axis=(0, 1, 3)), head_masks)


def test_normalized_layers_have_norm_one():
    scores = np.random.RandomState(3).rand(DEPTH, H)
    scores[1] = 0
    normalized = heads.normalize_layers(jnp.float32(scores))
    np.testing.assert_allclose((normalized**2).sum(axis=1), [1, 0, 1], rtol=1e-5)
    np.testing.assert_allclose(normalized[0], scores[0] / np.sqrt((scores[0] ** 2).sum()), 1e-5)


def slow_cut(scores, count, keep_one):
    """Take away the least important head again and again; of equal ones the last."""
    kept = np.ones_like(scores, bool)
    for _ in range(count):
        order = sorted(np.ndindex(scores.shape), key=lambda at: (scores[at], -at[0], -at[1]))
        for layer, head in order:
            if kept[layer, head] and not (keep_one and kept[layer].sum() == 1):
                kept[layer, head] = False
                break
    return kept


@functools.partial(jax.jit, static_argnames="keep_one")
def _cut(scores, count, keep_one):
    return heads.cut_heads(scores, count, keep_one_per_layer=keep_one)


@given(
    st.lists(st.integers(0, 5), min_size=DEPTH * H, max_size=DEPTH * H),
    st.integers(0, DEPTH * H),
    st.booleans(),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_least_important_heads_go_and_of_equal_ones_the_last(scores, count, keep_one):
    scores = np.reshape(np.float32(scores), (DEPTH, H))
    kept = np.asarray(_cut(jnp.array(scores), jnp.int32(count), keep_one))
    np.testing.assert_array_equal(kept, slow_cut(scores, count, keep_one))
    if keep_one:
        assert kept.any(axis=1).all()
        assert (~kept).sum() == min(count, DEPTH * (H - 1))


def test_a_static_count_is_that_of_a_traced_one():
    scores = jnp.float32(np.random.RandomState(4).rand(DEPTH, H))
    np.testing.assert_array_equal(heads.cut_heads(scores, 5), _cut(scores, jnp.int32(5), False))
    assert heads.cut_heads(scores[0], H).tolist() == [False] * H


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("count", "limit", "keep_one"),
    [
        (-1, 12, False),
        (13, 12, False),
        (10, 9, True),
        (np.int64(13), 12, False),
        (jnp.array(13), 12, False),
    ],
)
def test_more_heads_than_can_go_are_refused(count, limit, keep_one):
    with pytest.raises(ValueError, match=f"num_masked {count} must be from 0 to the {limit} heads"):
        heads.cut_heads(jnp.ones((DEPTH, H)), count, keep_one_per_layer=keep_one)


def test_a_head_of_nan_goes_first_even_where_one_must_stay():
    importance = jnp.array([[jnp.nan, 1.0], [5.0, 4.0]])
    for keep_one in (False, True):
        kept = heads.cut_heads(importance, 1, keep_one_per_layer=keep_one)
        assert kept.tolist() == [[False, True], [True, True]]


def test_norms_of_importance_in_bfloat16_are_those_in_float32():
    importance = jnp.full((1, 300), 0.1, jnp.bfloat16)  # a sum of squares would stand still
    normalized = heads.normalize_layers(importance)
    np.testing.assert_allclose(normalized, 1 / np.sqrt(300), rtol=1e-6)


def test_examples_are_flagged_by_booleans(unchecked):
    loss = lambda head_weights, x: (head_weights * x).sum()  # noqa: E731
    with pytest.raises(ValueError, match="is_valid holds int32: flags are boolean"):
        heads.importance(loss, (2,), jnp.ones((2, 2)), is_valid=jnp.array([1, 0]))
