"""The names of leaves, and the hash of parameters."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from maskjax.workdir.leaves import named_leaves, params_sha256, with_leaves


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


def test_leaves_are_put_into_places_by_name():
    state = {"opt": optax.adam(0.1).init({"w": jnp.zeros(2)}), "none": None, "empty": ()}
    leaves = {"opt/0/count": 3, "opt/0/mu/w": 4, "opt/0/nu/w": 5, "other": 6}
    filled = with_leaves(state, leaves)
    assert jax.tree.structure(filled) == jax.tree.structure(state)
    assert jax.tree.leaves(filled) == [3, 4, 5]
