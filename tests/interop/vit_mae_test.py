"""Agreement with numbers recorded from Hugging Face's ViTMAE (tests/golden/record_vit_mae.py)."""

import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from maskjax import tasks
from maskjax.interop import dialect, hf, layout
from maskjax.tasks.task import Context

GOLDEN = Path(__file__).parents[1] / "golden" / "vit_mae.npz"
# maskjax's path of each parameter whose gradient was recorded, and how to lay it out alike.
GRADIENTS = {
    "vit.embeddings.cls_token": ("encoder/class_token", lambda x: x),
    "vit.embeddings.patch_embeddings.projection.weight": (
        "encoder/patch_embed/kernel",
        lambda x: x.transpose(2, 3, 1, 0).reshape(-1, x.shape[0]),
    ),
    "vit.layers.0.attention.q_proj.weight": (
        "encoder/transformer/block00/attn/query/kernel",
        np.transpose,
    ),
    "vit.layers.1.mlp.fc1.weight": ("encoder/transformer/block01/mlp/fc1/kernel", np.transpose),
    "vit.layernorm.weight": ("encoder/transformer/norm/scale", lambda x: x),
    "decoder.mask_token": ("decoder/mask_token", lambda x: x[0, 0]),
    "decoder.decoder_layers.0.attention.v_proj.bias": (
        "decoder/transformer/block00/attn/value/bias",
        lambda x: x,
    ),
    "decoder.decoder_pred.weight": ("decoder/predict/kernel", np.transpose),
}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture
def run(golden, load_config):
    """(task, params, batch, keys) of the recorded model for a target."""

    def make(target):
        config = load_config("mae", "", **{"loss.target": target, "model.patch_size": (4, 4)})
        with config.unlocked():
            config.model.encoder.update({"width": 24, "depth": 2, "heads": 3})
            config.model.decoder.update({"width": 16, "depth": 1, "heads": 2})
            config.model.positions = "learned"
            config.model.feature_blocks = 1
        task = tasks.build(config, types.SimpleNamespace(shape=(16, 16, 3)))
        weights = {k.removeprefix("weights/"): v for k, v in golden.items() if "weights/" in k}
        batch = {
            "inputs": jnp.asarray(golden["images"]),
            "mask_noise": jnp.asarray(golden["noise"]),
        }
        keys = jax.random.split(jax.random.key(0), 2)
        leaves = dialect.to_paths(dialect.best(hf.DIALECTS, weights), weights)
        flat = {path: jnp.asarray(leaf) for path, leaf in layout.from_torch(leaves).items()}
        params = traverse_util.unflatten_dict(flat, sep="/")
        return task, params, batch, keys

    return make


def test_translated_weights_have_the_shapes_of_drawn_ones(run):
    task, params, _, _ = run("pixels")
    drawn = jax.eval_shape(task.init, jax.random.key(0))
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, drawn)


def test_masks_equal_the_recorded_ones(run, golden):
    task, _, batch, keys = run("pixels")
    hidden, _ = task.masker.draw(Context(keys), batch)
    np.testing.assert_array_equal(hidden.is_masked, golden["is_masked"])
    np.testing.assert_array_equal(hidden.ids_restore, golden["ids_restore"])


@pytest.mark.parametrize("target", ["pixels", "norm_pix"])
def test_loss_and_gradients_equal_the_recorded_ones(run, golden, target):
    task, params, batch, keys = run(target)

    def mean_loss(params):
        sums = task.loss(params, batch, Context(keys))
        return sums.loss / sums.weight

    loss, gradients = jax.jit(jax.value_and_grad(mean_loss))(params)
    np.testing.assert_allclose(loss, golden[f"loss/{target}"], rtol=1e-5)
    for name, (path, lay_out) in GRADIENTS.items():
        ours = gradients
        for part in path.split("/"):
            ours = ours[part]
        theirs = lay_out(golden[f"gradient/{target}/{name}"])
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * scale, rtol=1e-5, err_msg=name)


def test_predictions_equal_the_recorded_ones(run, golden):
    task, params, batch, keys = run("pixels")
    _, prediction, _ = task._forward(params, batch, Context(keys, train=False))
    np.testing.assert_allclose(prediction, golden["prediction"], atol=1e-5)
