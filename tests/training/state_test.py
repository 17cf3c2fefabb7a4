"""The state and the hash of parameters."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from maskjax.training.state import create_state, named_leaves, params_sha256


def test_hash_is_of_path_dtype_shape_and_bytes_in_order_of_path():
    params = {"b": {"kernel": jnp.arange(6.0).reshape(2, 3)}, "a": jnp.ones(2, jnp.bfloat16)}
    by_hand = hashlib.sha256()
    by_hand.update(b"a bfloat16 (2,)\n" + bytes([0x80, 0x3F, 0x80, 0x3F]))
    by_hand.update(b"b/kernel float32 (2, 3)\n" + np.arange(6, dtype="<f4").tobytes())
    assert params_sha256(params) == by_hand.hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        {"x": jnp.array([1.0, 2.0, 4.0])},
        {"y": jnp.array([1.0, 2.0, 3.0])},
        {"x": jnp.array([[1.0, 2.0, 3.0]])},
        {"x": jnp.array([1.0, 2.0, 3.0], jnp.bfloat16)},
        {"x": jnp.array([1.0, 2.0, 3.0]), "z": jnp.zeros(0)},
    ],
    ids=["value", "name", "shape", "dtype", "extra leaf"],
)
def test_hash_tells_apart(other):
    assert params_sha256(other) != params_sha256({"x": jnp.array([1.0, 2.0, 3.0])})


def test_named_leaves_go_through_lists_tuples_and_optimizer_states():
    opt_state = optax.adam(0.1).init({"w": jnp.zeros(2)})
    names = list(named_leaves({"opt": opt_state, "x": [jnp.ones(1)]}))
    assert names == ["opt/0/count", "opt/0/mu/w", "opt/0/nu/w", "x/0"]


def test_moving_average_starts_as_a_copy_of_its_own():
    init = lambda key: {"w": jax.random.normal(key, (3,))}  # noqa: E731
    state = create_state(init, optax.identity(), jax.random.key(0), with_ema=True)
    np.testing.assert_array_equal(state.ema_params["w"], state.params["w"])
    state.params["w"].delete()
    assert not state.ema_params["w"].is_deleted()
    assert state.eval_params is state.ema_params


def test_without_an_average_the_parameters_themselves_are_judged():
    state = create_state(lambda key: {"w": jnp.ones(1)}, optax.identity(), jax.random.key(0))
    assert state.ema_params is None
    assert state.eval_params is state.params
