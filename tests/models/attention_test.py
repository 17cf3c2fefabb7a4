"""Attention against a slow NumPy loop; queries that may attend to nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.models.attention import SelfAttention, dot_product_attention

B, L, H, D = 2, 5, 3, 4


def slow_attention(q, k, v, attention_mask):
    out = np.zeros_like(q)
    for b in range(B):
        for h in range(H):
            for i in range(L):
                seen = [j for j in range(L) if attention_mask[b, h, i, j]]
                if not seen:
                    continue
                logits = np.array([q[b, i, h] @ k[b, j, h] / np.sqrt(D) for j in seen])
                weights = np.exp(logits - logits.max())
                weights /= weights.sum()
                out[b, i, h] = sum(w * v[b, j, h] for w, j in zip(weights, seen, strict=True))
    return out


@pytest.fixture
def qkv():
    return np.random.default_rng(0).normal(size=(3, B, L, H, D)).astype(np.float32)


def test_equals_the_slow_loop(qkv):
    everything = np.ones((B, H, L, L), bool)
    out = dot_product_attention(*map(jnp.asarray, qkv))
    np.testing.assert_allclose(out, slow_attention(*qkv, everything), rtol=1e-5, atol=1e-6)


def test_masked_equals_the_slow_loop_and_blind_queries_get_zeros(qkv):
    attention_mask = np.random.default_rng(1).random((B, H, L, L)) < 0.4
    attention_mask[0, 1, 2] = False
    out = dot_product_attention(*map(jnp.asarray, qkv), jnp.asarray(attention_mask))
    np.testing.assert_allclose(out, slow_attention(*qkv, attention_mask), rtol=1e-5, atol=1e-6)
    assert not out[0, 2, 1].any()


def test_gradient_of_blind_queries_is_zero_not_nan(qkv):
    q, k, v = map(jnp.asarray, qkv)
    attention_mask = jnp.zeros((B, 1, 1, L), bool)
    gradients = jax.grad(
        lambda q, k, v: dot_product_attention(q, k, v, attention_mask).sum(), argnums=(0, 1, 2)
    )(q, k, v)
    for gradient in gradients:
        assert not gradient.any()


def test_self_attention_init_is_that_of_one_fused_matrix():
    params = SelfAttention(4).init(jax.random.key(0), jnp.zeros((1, 2, 64)))["params"]
    fused_limit = np.sqrt(6 / (64 + 3 * 64))
    for name in ("query", "key", "value"):
        largest = abs(params[name]["kernel"]).max()
        assert 0.98 * fused_limit < largest <= fused_limit
    assert abs(params["out"]["kernel"]).max() > fused_limit  # its own limit: sqrt(6 / 128)


def test_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="width 10 is not a multiple of num_heads 4"):
        SelfAttention(4).init(jax.random.key(0), jnp.zeros((1, 2, 10)))
