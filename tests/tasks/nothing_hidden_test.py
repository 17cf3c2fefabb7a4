"""mask.rule "none": a masked autoencoder without masks, a plain one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.models.patches import patchify
from maskjax.tasks.task import Context

WITHOUT = {"mask.rule": "none", "loss.on": "all", "loss.target": "pixels"}


@pytest.mark.parametrize("name", ["mae", "simmim"])
def test_the_model_sees_all_and_its_error_on_all_counts(build, params_of, name):
    task = build(config_name=name, **WITHOUT)
    params, loss = params_of(task), jax.jit(task.loss)
    inputs = jax.random.normal(jax.random.key(1), (3, 8, 8, 1))
    context = Context(jax.random.split(jax.random.key(2), 3))
    sums = loss(params, {"inputs": inputs}, context)
    assert sums.metrics["mask_ratio"].numbers("x") == {"x": 0.0}
    panels = task.show(params, {"inputs": inputs}, context)
    assert set(panels) == {"reconstructions"}  # a sheet of rules would show none of them
    panel = panels["reconstructions"]
    assert not np.asarray(panel.is_hidden).any()
    np.testing.assert_array_equal(panel.seen, inputs)
    np.testing.assert_array_equal(panel.pasted, inputs)
    distance = np.square if task.kind == "l2" else np.abs
    of_patches = distance(patchify(panel.prediction - inputs, (2, 2))).mean(-1)
    assert float(sums.loss) == pytest.approx(float(of_patches.sum()), rel=1e-4)
    assert float(sums.weight) == of_patches.size
    # With other keys it is the same: nothing is drawn.
    other = Context(jax.random.split(jax.random.key(3), 3))
    assert jnp.allclose(loss(params, {"inputs": inputs}, other).loss, sums.loss)


def test_a_loss_on_hidden_patches_is_refused_where_none_is_hidden(build):
    with pytest.raises(ValueError, match=r"set loss.on to 'all', for a plain autoencoder"):
        build(**{"mask.rule": "none"})
