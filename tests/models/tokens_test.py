import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.models.tokens import MaskedTokens, TokenEncoder
from maskjax.models.transformer import Transformer

BLOCKS = Transformer(1, 2, dropout_rate=0.5)
MODEL = MaskedTokens(TokenEncoder(7, 8, BLOCKS, max_length=5, dropout_rate=0.5), 6)
IDS = jnp.array([[0, 0, 3, 6, 1], [2, 5, 4, 6, 0]])
SEGMENT_IDS = jnp.array([[0, 0, 1, 1, 1], [1] * 5])
PLACES = jnp.array([[3, 4], [0, 3]])


@pytest.fixture(scope="module")
def params():
    params = MODEL.init(jax.random.key(0), IDS, SEGMENT_IDS, PLACES)["params"]
    return params | {"bias": jnp.arange(6.0)}


@pytest.fixture(scope="module")
def apply():
    return jax.jit(lambda params, *args: MODEL.apply({"params": params}, *args))


def test_logits_are_the_head_of_the_places_times_the_table(params, apply):
    x = np.asarray(MODEL.apply({"params": params}, IDS, SEGMENT_IDS, method="encode"), np.float64)
    dense, norm = params["dense"], params["norm"]
    logits = apply(params, IDS, SEGMENT_IDS, PLACES)
    for row in range(2):
        for slot, place in enumerate(PLACES[row]):
            h = x[row, place] @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])
            h = np.array([v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in h])
            h = (h - h.mean()) / np.sqrt(h.var() + 1e-6) * np.asarray(norm["scale"])
            expected = np.asarray(params["encoder"]["table"])[:6] @ h + np.arange(6)
            np.testing.assert_allclose(logits[row, slot], expected, rtol=1e-4, atol=1e-5)


def test_padding_is_not_seen_and_order_is(params, apply):
    logits = apply(params, IDS, SEGMENT_IDS, PLACES)
    other = apply(params, IDS.at[0, :2].set(5), SEGMENT_IDS, PLACES)
    np.testing.assert_array_equal(logits, other)
    swapped = apply(params, IDS[:, jnp.array([1, 0, 2, 3, 4])], SEGMENT_IDS, PLACES)
    np.testing.assert_array_equal(logits[0], swapped[0])  # padding there
    assert np.abs(logits[1, 1] - swapped[1, 1]).max() > 1e-5


def test_dropout_acts_only_when_keys_are_given(params, apply):
    keys = jax.random.split(jax.random.key(1), 2)
    quiet = apply(params, IDS, SEGMENT_IDS, PLACES)
    assert np.abs(apply(params, IDS, SEGMENT_IDS, PLACES, None, None, keys) - quiet).max() > 1e-3


def test_more_ids_than_positions_are_refused(params):
    with pytest.raises(ValueError, match="6 ids are more than the 5 positions"):
        MODEL.apply({"params": params}, jnp.zeros((1, 6), int), jnp.ones((1, 6), int), PLACES[:1])
