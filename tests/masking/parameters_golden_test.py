"""Pruning as torch.nn.utils.prune has it, RigL in plain NumPy (tests/golden/record_prune.py)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.masking import parameters
from maskjax.masking.parameters import make_engine, options_of

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "prune.npz"))
KERNELS = {name: {"kernel": jnp.asarray(GOLDEN[f"kernel/{name}"])} for name in ("a", "b")}
HOW = {
    "leaf": {"sparsity": 0.4},
    "global": {"sparsity": 0.6, "scope": "global"},
    "neurons": {"sparsity": 0.3, "granularity": "neuron"},
    "inputs": {"sparsity": 0.2, "granularity": "row"},
}


@pytest.mark.parametrize("how", HOW)
def test_magnitude_hides_what_torch_prunes(how):
    engine = make_engine(options_of({"method": "magnitude", **HOW[how]}, 10), KERNELS)
    _, state = jax.jit(engine.begin)(KERNELS, jax.random.key(0))
    for name in KERNELS:
        np.testing.assert_array_equal(state.masks[name]["kernel"], GOLDEN[f"{how}/{name}"])


def test_a_step_of_rigl_is_that_of_plain_numpy():
    kept, gradient = jnp.asarray(GOLDEN["rigl/kept"]), jnp.asarray(GOLDEN["rigl/gradient"])
    weights = jnp.where(kept, KERNELS["a"]["kernel"], 0)
    count = int(GOLDEN["rigl/num_dropped"])
    after = jax.jit(parameters.regrow)(kept, -abs(weights), abs(gradient), count)
    np.testing.assert_array_equal(after, GOLDEN["rigl/after"])
