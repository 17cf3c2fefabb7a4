"""Convolutional networks that classify: what is hidden of inputs, adapters, and what is refused."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from maskjax import tasks
from maskjax.masking.parameters import leaf_paths
from maskjax.models.lora import LORA
from maskjax.tasks.task import Context
from maskjax.training.update import layer_factors

SHAPE, SIZE = (16, 16, 1), 4
SMALL = {"model.depths": (1,), "model.widths": (4,), "model.groups": 2}
HIDE = {"mask.rule": "random", "mask.ratio": 0.5}


@pytest.fixture(scope="module")
def make(load_config):
    """`make("lenet", **overrides)`: a small task."""

    def make(name, shape=SHAPE, **overrides):
        changes = {"model.patch_size": (4,) * (len(shape) - 1)} | overrides
        config = load_config(name, "smoke", **((SMALL if name == "resnet" else {}) | changes))
        return tasks.build(config, types.SimpleNamespace(shape=shape, num_classes=3))

    return make


def batch_of(seed=0):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(SIZE, *SHAPE)).astype(np.float32)
    return {"inputs": inputs, "label": np.arange(SIZE) % 3, "is_valid": np.ones(SIZE, bool)}


def context(train=True):
    return Context(jax.random.split(jax.random.key(0), SIZE), jnp.int32(0), train=train)


@pytest.mark.parametrize("fill", ["token", "noise", "zero"])
def test_hidden_patches_do_not_count_in_training_and_are_there_in_evaluation(make, fill):
    task = make("lenet", **(HIDE | {"mask.fill": fill}))
    params = jax.jit(task.init)(jax.random.key(0))
    if fill == "token":
        assert params["mask_token"].shape == (1,)
        params = {**params, "mask_token": jnp.array([0.7])}
    batch, loss = batch_of(), jax.jit(task.loss)
    hidden, _ = task.masker.draw(context(), batch)
    is_masked = np.asarray(hidden.is_masked).reshape(SIZE, 4, 4, 1).repeat(4, 1).repeat(4, 2)
    other = {**batch, "inputs": np.where(is_masked, batch_of(1)["inputs"], batch["inputs"])}
    sums, judged = loss(params, batch, context()), loss(params, batch, context(train=False))
    assert sums.metrics["mask_ratio"].numbers("x") == {"x": 0.5}
    assert loss(params, other, context()).loss == sums.loss
    assert loss(params, other, context(train=False)).loss != judged.loss
    if fill != "noise":
        put = {
            **batch,
            "inputs": np.where(is_masked, 0.7 if fill == "token" else 0, batch["inputs"]),
        }
        np.testing.assert_allclose(
            loss(params, put, context(train=False)).loss, sums.loss, rtol=1e-5
        )


def test_adapters_of_convolutions_change_nothing_at_first_and_merge(make):
    task = make("resnet", **{"model.lora_rank": 2})
    params = jax.jit(task.init)(jax.random.key(0))
    adapted = {path.rpartition("/")[0] for path in leaf_paths(params[LORA])}
    conv = "encoder/stages/block00/conv"
    assert adapted == {f"{conv}1/kernel", f"{conv}2/kernel"}
    logits = jax.jit(task.outputs()["logits"])
    batch, judged = batch_of(), context(train=False)
    plain, without = task.without_adapters(params)
    again = jax.jit(plain.outputs()["logits"])
    np.testing.assert_array_equal(logits(params, batch, judged), again(without, batch, judged))
    flat = traverse_util.flatten_dict(params, sep="/")
    b = jax.random.normal(jax.random.key(1), flat[f"{LORA}/{conv}1/kernel/b"].shape)
    flat[f"{LORA}/{conv}1/kernel/b"] = b
    moved = traverse_util.unflatten_dict(flat, sep="/")
    a = np.asarray(flat[f"{LORA}/{conv}1/kernel/a"])
    change = 16 / 2 * np.einsum("ir,ro->io", a, np.asarray(b)).reshape(3, 3, 4, 4)
    merged = traverse_util.flatten_dict(plain_params := task.without_adapters(moved)[1], sep="/")
    expected = np.asarray(flat[f"{conv}1/kernel"]) + change
    np.testing.assert_allclose(merged[f"{conv}1/kernel"], expected, rtol=1e-4, atol=1e-6)
    assert LORA not in plain_params


def test_blocks_are_numbered_through_all_stages_for_rates_by_layer(make):
    task = make("resnet", **{"model.depths": (1, 2), "model.widths": (4, 4)})
    paths = leaf_paths(jax.eval_shape(task.init, jax.random.key(0)))
    factors = layer_factors(0.5, paths)
    by_block = {
        name: {factors[path] for path in paths if f"/{name}/" in path}
        for name in ("block00", "block01", "block02")
    }
    assert by_block == {"block00": {0.125}, "block01": {0.25}, "block02": {0.5}}
    assert {factors[path] for path in paths if path.startswith("encoder/stem")} == {0.0625}
    assert {factors[path] for path in paths if path.startswith("head/")} == {1.0}


@pytest.mark.parametrize(
    ("name", "shape", "overrides", "message"),
    [
        ("lenet", (8, 8, 1), {}, r"at least 16 pixels a side, .*\(8, 8\): set data.size"),
        ("lenet", SHAPE, HIDE | {"mask.fill": "drop"}, "unknown mask.fill 'drop'"),
        ("lenet", SHAPE, {"model.dtype": "float16"}, "unknown model.dtype 'float16'"),
        ("resnet", SHAPE, {"model.size": "resnet21"}, "unknown model.size 'resnet21'"),
        ("resnet", SHAPE, {"model.norm": "batch"}, "unknown model.norm 'batch'"),
        ("resnet", SHAPE, {"model.groups": 3}, r"model.groups 3 .* \(4,\): set it to 4"),
        ("resnet", SHAPE, {"model.depths": (1, 1)}, r"\(1, 1\) and model.widths \(4,\) must be"),
        ("resnet", SHAPE, {"model.drop_path": 1.0}, "model.drop_path 1.0 must be at least 0"),
        ("resnet", SHAPE, {"model.lora_rank": 5}, r"lora_rank 5 .*conv1/kernel \[3, 3, 4, 4\]"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(make, name, shape, overrides, message):
    with pytest.raises(ValueError, match=message):
        make(name, shape, **overrides)
