"""Self-attention: how its products are drawn, and that its implementations agree."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.models.attention import SelfAttention


def test_blockwise_equals_xla_forward_and_backward():
    x = jax.random.normal(jax.random.key(0), (2, 5, 12))
    attention_mask = jax.random.bernoulli(jax.random.key(1), 0.4, (2, 1, 5, 5))
    attention_mask = attention_mask.at[0, 0, 2].set(False)
    params = jax.jit(SelfAttention(3).init)(jax.random.key(2), x)

    @functools.partial(jax.jit, static_argnums=2)
    def loss(params, x, implementation):
        module = SelfAttention(3, implementation=implementation)
        out = module.apply(params, x, attention_mask)
        return (out**2).sum(), out

    results = [
        jax.grad(loss, argnums=(0, 1), has_aux=True)(params, x, implementation)
        for implementation in ("xla", "blockwise")
    ]
    chex.assert_trees_all_close(*results, rtol=1e-5, atol=1e-6)
    _, out = results[0]
    np.testing.assert_array_equal(out[0, 2], params["params"]["out"]["bias"])  # it sees nothing
    assert abs(out[0, 1]).min() > 0


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
