"""Layers against closed forms and slow loops."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.models import layers, transformer
from maskjax.models.layers import (
    Dense,
    drop_path,
    dropout,
    gelu,
    layer_norm,
    layer_norm_epsilon,
)
from maskjax.models.transformer import Block


def exact_gelu(x):
    return np.array([v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])


def test_gelu_is_the_exact_one():
    x = np.linspace(-12, 12, 4001)
    np.testing.assert_allclose(gelu(jnp.float32(x)), exact_gelu(x), atol=4e-7)
    tanh_form = jax.nn.gelu(jnp.float32(x), approximate=True)
    assert np.abs(tanh_form - exact_gelu(x)).max() > 1e-4  # the tolerance tells them apart


def test_gelu_gradient_is_the_exact_one():
    x = np.linspace(-12, 12, 4001)
    cdf = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])
    expected = cdf + x * np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(jax.vmap(jax.grad(gelu))(jnp.float32(x)), expected, atol=1e-6)


def test_gelu_of_infinities_and_nan():
    out = gelu(jnp.array([-1e4, 1e4, jnp.nan]))
    assert out[0] == 0
    assert out[1] == 1e4
    assert jnp.isnan(out[2])


def test_gelu_keeps_bfloat16():
    assert gelu(jnp.ones(3, jnp.bfloat16)).dtype == jnp.bfloat16


def test_dense_maps_the_last_axis():
    x = jax.random.normal(jax.random.key(0), (2, 3, 5))
    layer = Dense(4)
    params = layer.init(jax.random.key(1), x)["params"]
    params["bias"] = jnp.arange(4.0)
    y = layer.apply({"params": params}, x)
    for b in range(2):
        for i in range(3):
            expected = np.asarray(x[b, i]) @ np.asarray(params["kernel"]) + np.arange(4)
            np.testing.assert_allclose(y[b, i], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wide", [384, 4])  # 4: the kernel is wide
def test_the_gradient_of_dense_is_that_of_its_sums(monkeypatch, wide):
    monkeypatch.setattr(layers, "WIDE", wide)
    rng = np.random.default_rng(0)
    x, kernel, weights = (rng.normal(size=size) for size in ((2, 3, 5), (5, 4), (2, 3, 4)))
    loss = lambda x, params: (weights * Dense(4).apply({"params": params}, x)).sum()  # noqa: E731
    params = {"kernel": jnp.float32(kernel), "bias": jnp.zeros(4)}
    of_x, of_params = jax.jit(jax.grad(loss, (0, 1)))(jnp.float32(x), params)
    expected_x, expected_kernel = np.zeros((2, 3, 5)), np.zeros((5, 4))
    for b, i, k, j in np.ndindex(2, 3, 5, 4):
        expected_x[b, i, k] += weights[b, i, j] * kernel[k, j]
        expected_kernel[k, j] += weights[b, i, j] * x[b, i, k]
    np.testing.assert_allclose(of_x, expected_x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_params["kernel"], expected_kernel, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_params["bias"], weights.sum((0, 1)), rtol=1e-5, atol=1e-6)


def test_dense_init_is_xavier_uniform_with_zero_bias():
    params = Dense(300).init(jax.random.key(0), jnp.zeros((1, 100)))["params"]
    limit = math.sqrt(6 / 400)
    assert abs(params["kernel"]).max() <= limit
    assert abs(params["kernel"]).max() > 0.99 * limit
    np.testing.assert_allclose(params["kernel"].std(), limit / math.sqrt(3), rtol=0.02)
    assert not params["bias"].any()


def test_dense_computes_in_bfloat16_on_float32_parameters():
    layer = Dense(4, jnp.bfloat16)
    params = layer.init(jax.random.key(0), jnp.zeros((1, 3)))["params"]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert layer.apply({"params": params}, jnp.ones((1, 3))).dtype == jnp.bfloat16


def test_layer_norm_has_the_reference_epsilon():
    assert layer_norm_epsilon == 1e-6
    x = 1e-3 * jnp.array([[1.0, -1.0]])  # variance 1e-6: epsilon halves the square
    y = layer_norm(jnp.float32, "ln").apply(
        {"params": {"scale": jnp.ones(2), "bias": jnp.zeros(2)}}, x
    )
    np.testing.assert_allclose(y, [[2**-0.5, -(2**-0.5)]], rtol=1e-4)


def test_drop_path_drops_whole_examples_and_keeps_the_mean():
    keys = jax.random.split(jax.random.key(0), 4000)
    out = np.asarray(drop_path(jnp.ones((4000, 2, 3)), 0.25, keys))
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (out == out[:, :1, :1]).all()
    np.testing.assert_allclose((out[:, 0, 0] == 0).mean(), 0.25, atol=4 * math.sqrt(0.1875 / 4000))


def test_drop_path_of_an_example_depends_on_its_own_key_alone():
    keys = jax.random.split(jax.random.key(0), 64)
    whole = drop_path(jnp.ones((64, 2)), 0.5, keys)
    halves = [drop_path(jnp.ones((32, 2)), 0.5, part) for part in (keys[:32], keys[32:])]
    np.testing.assert_array_equal(whole, np.concatenate(halves))


@pytest.mark.parametrize("keys", [None, jax.random.split(jax.random.key(0), 3)])
def test_drop_path_is_off_at_evaluation_and_at_rate_zero(keys):
    x = jnp.ones((3, 2))
    np.testing.assert_array_equal(drop_path(x, 0.0 if keys is not None else 0.9, keys), x)


def test_dropout_drops_numbers_at_the_rate_and_keeps_the_mean():
    keys = jax.random.split(jax.random.key(0), 40)
    out = np.asarray(dropout(jnp.ones((40, 33, 31)), 0.25, keys))
    assert set(np.unique(out)) == {np.float32(0), np.float32(4 / 3)}
    assert abs((out == 0).mean() - 0.25) < 5 * (0.25 * 0.75 / out.size) ** 0.5
    assert len(np.unique(out.reshape(40, -1), axis=0)) == 40
    z = ((out == 0).reshape(40, -1) - 0.25) / (0.25 * 0.75) ** 0.5
    for lag in (1, 2, 3, 4):  # those of one random word are independent, too
        assert abs((z[:, lag:] * z[:, :-lag]).mean()) < 5 * z.size**-0.5


def test_dropout_of_an_example_depends_on_its_own_key_alone():
    keys = jax.random.split(jax.random.key(0), 8)
    whole = dropout(jnp.ones((8, 5)), 0.5, keys)
    np.testing.assert_array_equal(whole[3:4], dropout(jnp.ones((1, 5)), 0.5, keys[3:4]))
    np.testing.assert_array_equal(dropout(jnp.ones((8, 5)), 0.5, None), np.ones((8, 5)))
    np.testing.assert_array_equal(dropout(jnp.ones((8, 5)), 0.0, keys), np.ones((8, 5)))


def test_a_block_drops_where_the_published_vit_does(monkeypatch):
    # Dosovitskiy et al. 2021, appendix B.1: after every dense layer but queries, keys and values.
    block = Block(2, dropout_rate=0.1, hidden_dropout_rate=0.1)
    x, keys = jnp.ones((3, 5, 8)), jax.random.split(jax.random.key(0), 3)
    seen = []

    def dropped(x, rate, keys):
        if keys is not None:
            seen.append((x.shape, rate, tuple(jax.random.key_data(keys).ravel().tolist())))
        return x

    for module in (layers, transformer):
        monkeypatch.setattr(module, "dropout", dropped)
    params = block.init(jax.random.key(1), x)
    block.apply(params, x, None, keys)
    assert [(shape, rate) for shape, rate, _ in seen] == [
        ((3, 5, 8), 0.1), ((3, 5, 32), 0.1), ((3, 5, 8), 0.1)
    ]  # fmt: skip
    assert len({draws for *_, draws in seen}) == 3
