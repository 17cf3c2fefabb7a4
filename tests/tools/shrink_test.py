"""A network without hidden neurons and heads gives what the masked one gave."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from ml_collections import ConfigDict

from maskjax.models.layers import Style
from maskjax.models.sizes import Size
from maskjax.models.text import named, text_flops
from maskjax.models.transformer import Transformer
from maskjax.tasks.options import kept_blocks
from maskjax.tools import export, shrink
from maskjax.tools.saved import open_saved
from maskjax.tools.shrink import smaller
from maskjax.training.step import eval_context

HEADS, WIDTH, HIDDEN = 4, 8, 6
GATED = Style(has_bias=False, is_gated=True, first_norm=False)


def _pruned(params, gone):
    """Weights of which some columns, or rows, are zeros."""
    flat = traverse_util.flatten_dict(jax.tree.map(np.array, params), sep="/")
    for path, places, axis in gone:
        flat[path][places if axis == 0 else (slice(None), places)] = 0
    return traverse_util.unflatten_dict(flat, sep="/")


def _masked(style):
    """A stack of two blocks, 4 heads of 2 columns and 6 hidden units each."""
    model = Transformer(2, HEADS, HIDDEN / WIDTH, style=style)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 3, WIDTH)))["params"]
    gone = [
        ("block00/attn/out/kernel", [0, 1], 0),  # nothing reads head 0
        ("block00/attn/value/kernel", [4, 5], 1),  # head 2 reads nothing: its bias stays
        ("block00/attn/query/kernel", [6, 7], 1),  # head 3 looks everywhere alike: it stays
        ("block01/attn/value/kernel", [0, 1, 2], 1),  # half of head 1: it stays
        ("block00/mlp/fc1/kernel", [0, 3], 1),
        ("block00/mlp/fc2/kernel", [5], 0),
        ("block01/mlp/fc2/kernel", [0, 1, 2, 3, 4, 5], 0),  # all: one stays
    ]
    if style.is_gated:
        gone.append(("block00/mlp/gate/kernel", [4], 1))
    rng = np.random.default_rng(0)
    drawn = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
    return model, _pruned(drawn, gone)


@pytest.mark.parametrize(
    ("style", "kept"),
    [(Style(), ((2, 3), (3, 1))), (GATED, ((2, 2), (3, 1)))],
    ids=["vision transformer", "modernbert"],
)
def test_outputs_are_those_of_the_masked_network_whose_constants_stay(style, kept):
    model, params = _masked(style)
    less, sides = smaller({"encoder": {"stack": params}}, {"encoder": HEADS})
    assert sides["encoder"] == (((HEADS, HIDDEN),) * 2, kept)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 5, WIDTH)), jnp.float32)
    sees = jnp.asarray(np.arange(5) < np.array([[5], [3]]))[:, None, None]  # some is padding
    wanted = jax.jit(model.apply)({"params": params}, x, sees)
    found = jax.jit(model.clone(kept=kept).apply)({"params": less["encoder"]["stack"]}, x, sees)
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"no hidden unit and no head can go.*granularity=neuron"):
        smaller(less, {"encoder": HEADS})


def _products(params, tokens):
    """FLOPs of the dense layers of a stack, and of attention, from the shapes of its kernels."""
    flat = traverse_util.flatten_dict(params, sep="/")
    kernels = {path: x.shape for path, x in flat.items() if path.endswith("/kernel")}
    maps = sum(2 * a * b * tokens for path, (a, b) in kernels.items() if "/block" in path)
    values = [shape[1] for path, shape in kernels.items() if path.endswith("value/kernel")]
    return maps + sum(4 * tokens * tokens * width for width in values)


def test_a_run_is_made_smaller_and_taken_as_any_other(smoke_run, tmp_path, monkeypatch):
    folder = shutil.copytree(smoke_run, tmp_path / "masked")
    masks = {"sparsity": 0.5, "sparsity_by_layer": {}, "figures": ["figures/loss.png"]}
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(summary | masks))
    (folder / "tables.json").write_text("{}")
    run = open_saved(folder, needs_examples=False)
    stacks = ("encoder/transformer", "decoder/transformer")
    gone = [
        (f"{stacks[0]}/block00/attn/out/kernel", slice(0, 8), 0),
        (f"{stacks[0]}/block01/mlp/fc1/kernel", slice(0, 100), 1),
        (f"{stacks[1]}/block00/mlp/fc1/kernel", slice(0, 7), 1),
    ]
    params = _pruned(jax.device_get(run.state.eval_params), gone)
    masked = run._replace(state=dataclasses.replace(run.state, params=params, ema_params=None))
    monkeypatch.setattr(shrink, "open_saved", lambda *_, **__: masked)
    lines = shrink.shrink(folder, tmp_path / "less")
    less = open_saved(tmp_path / "less", needs_examples=False)
    (heads, _), (_, hidden) = less.config.model.encoder.kept
    assert (heads, hidden) == (3, 4 * 32 - 100)
    assert "heads of the encoder: 8 -> 7 (3, 4)" in lines
    inputs = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype(np.float32)
    batch = {"inputs": inputs, "index": np.arange(2, dtype=np.int32)}
    found, wanted = (
        jax.jit(it.task.outputs()["features"])(
            it.state.eval_params, batch, eval_context(it.config, batch, it.state.memory)
        )
        for it in (less, masked)
    )
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    outside = [  # the masked run's own, less what these stacks take there
        it.task.flops_per_example
        - 3 * _products(it.state.params["encoder"], 5)
        - 3 * _products(it.state.params["decoder"], 17)
        for it in (less, masked)
    ]
    assert outside[0] == pytest.approx(outside[1])
    summary = json.loads((tmp_path / "less" / "summary.json").read_text())
    assert summary["shrunk_from"] == str(folder)
    assert not masks.keys() & summary.keys()
    assert (tmp_path / "less" / "tables.json").read_text() == "{}"
    with pytest.raises(ValueError, match=r"blocks that are alike.*use --format=stablehlo"):
        export.export(tmp_path / "less", tmp_path / "hf", format="hf")


def test_flops_of_gated_and_local_blocks_are_those_of_their_kernels():
    it = dataclasses.replace(
        named("modernbert", "tiny", 10), window=4, global_every=2, kept=((1, 30), (2, 50))
    )
    length, places = 20, 3
    inner = (64, 128)  # heads of 64
    maps = sum(4 * 128 * a + 3 * 128 * h for a, (_, h) in zip(inner, it.kept))
    attention = 4 * 20 * 64 * 20 + 4 * 20 * 128 * 6  # the second looks at three tiles of 2
    head = places * 2 * 128 * (128 + 10)
    assert text_flops(it, length, places) == 3 * (2 * length * maps + attention + head)


@pytest.mark.parametrize("kept", [((1, 2),), ((1, 2), (3, 4)), ((1, 2), (0, 4)), (1, 2), "ab"])
def test_what_is_said_of_blocks_must_fit_them(kept):
    with pytest.raises(ValueError, match=r"model.encoder.kept .* each of 2 blocks its heads, 1 to"):
        kept_blocks(ConfigDict({"kept": kept}), "model.encoder", Size(8, 2, 2))
