"""A network without hidden neurons gives what the masked one gave."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.models.layers import Mlp
from maskjax.tools.shrink import smaller


def _two(seed):
    """Two MLPs, 6 units each, of which 3 and 2 live: with zeros below, above, and biases left."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    found = {}
    for name, below, above in (("a", [0, 3], [5]), ("b", [1, 2, 4], [0, 1])):
        mlp = {"fc1": {"kernel": draw(4, 6), "bias": draw(6)}}
        mlp["fc2"] = {"kernel": draw(6, 4), "bias": draw(4)}
        mlp["fc1"]["kernel"][:, below] = 0
        mlp["fc2"]["kernel"][above] = 0
        found[name] = {"mlp": mlp}
    return found


def test_outputs_are_those_of_the_masked_network_whose_constants_stay():
    params = _two(0)
    less, before, width = smaller(params)
    assert (before, width) == (6, 3)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 5, 4)), jnp.float32)
    for name, one in params.items():
        wanted = Mlp(6).apply({"params": one["mlp"]}, x)
        assert less[name]["mlp"]["fc1"]["kernel"].shape == (4, 3)
        found = Mlp(3).apply({"params": less[name]["mlp"]}, x)
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_what_has_nothing_to_lose_is_refused():
    whole = jax.tree.map(jnp.ones_like, _two(0))
    with pytest.raises(ValueError, match=r"none of the 6 hidden units can go.*granularity=neuron"):
        smaller(whole)
    gated = {"mlp": {**_two(0)["a"]["mlp"], "gate": {"kernel": np.ones((4, 6))}}}
    with pytest.raises(ValueError, match="with gates are not made smaller"):
        smaller(gated)
