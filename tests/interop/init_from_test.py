"""A run starts from published weights, and then does what the others' models do."""

import hashlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import tasks
from maskjax.tasks.task import Context
from maskjax.training import init_from
from maskjax.training import run as runs

MODEL = {
    "model.encoder": {"width": 8, "depth": 2, "heads": 2},
    "model.decoder": {"width": 12, "depth": 1, "heads": 3},
    "model.patch_size": (4, 4),
    "model.positions": "learned",
    "model.norm_eps": 1e-12,
    "model.feature_blocks": 1,
    "model.pool": "class",
}


@pytest.fixture(scope="module")
def start(load_config, golden):
    """`start(path, shape, **overrides)`: task, state, record and line of a MAE from a file."""
    fresh = {}

    def run(path, shape=(16, 16, 3), **overrides):
        config = load_config("mae", "smoke")
        with config.unlocked():
            config.update_from_flattened_dict(MODEL | overrides)
            config.init_from.path = str(golden / path)
        task = tasks.build(config, types.SimpleNamespace(shape=shape))
        key = (task.model, shape)
        if key not in fresh:
            fresh[key] = runs.initial_state(task, config)
        return task, *init_from.start(fresh[key], config, lambda *_: 0.25, task)

    return run


@pytest.mark.parametrize(
    ("path", "recorded", "eps"),
    [("hf4_mae", "hf_mae", 1e-12), ("hf5_mae", "hf_mae", 1e-12), ("mae_full.pth", "mae", 1e-6)],
)
def test_losses_and_reconstructions_equal_the_recorded_ones(start, outputs, path, recorded, eps):
    keys = jax.random.split(jax.random.key(0), 2)
    batch = {"inputs": jnp.asarray(outputs["images/square"])}
    batch["mask_noise"] = jnp.asarray(outputs["noise"])
    for target in ("pixels", "norm_pix"):
        task, state, *_ = start(path, **{"loss.target": target, "model.norm_eps": eps})
        sums = jax.jit(task.loss)(state.params, batch, Context(keys, train=False))
        wanted = outputs[f"{recorded}/loss/{target}"]
        np.testing.assert_allclose(sums.loss / sums.weight, wanted, rtol=1e-5)
    _, prediction, hidden = task._forward(state.params, batch, Context(keys, train=False))
    np.testing.assert_array_equal(hidden.is_masked, outputs["is_masked"])
    np.testing.assert_allclose(prediction, outputs[f"{recorded}/prediction"], atol=1e-5)
    features = task.outputs()["features"](state.params, batch, Context(keys, train=False))
    np.testing.assert_allclose(features, outputs[f"{recorded}/tokens"][:, 0], atol=1e-5)


def test_the_record_and_the_line_say_what_was_loaded(start, golden):
    skip = {"init_from.skip": ("^decoder/",), "model.norm_eps": 1e-6}
    _, state, record, line = start("mae_encoder.pth", **skip)
    assert int(state.step) == 0
    digest = hashlib.sha256((golden / "mae_encoder.pth").read_bytes()).hexdigest()
    assert (record["format"], record["file_sha256"]) == ("mae", digest)
    assert record["what"] == "params"
    assert "decoder/mask_token" in record["begins anew"]
    assert record["notes"] == ["the file does not say its heads: 2, as model.encoder.heads"]
    assert f"from mae weights {golden / 'mae_encoder.pth'} (params)" in line
    assert "; the file does not say its heads" in line
    assert "; begins anew: decoder/embed/bias" in line


def test_weights_of_another_size_and_channels_are_made_to_fit(start):
    shape = (12, 20, 1)
    chosen = {"init_from.skip": ("^decoder/predict/",), "init_from.channels": "mean"}
    _, state, record, _ = start("hf4_mae", shape, **chosen)
    assert state.params["encoder"]["positions"]["table"].shape == (1, 15, 8)
    assert state.params["encoder"]["patch_embed"]["kernel"].shape == (16, 8)
    assert record["notes"] == [
        "3 channels made 1 (mean)",
        "encoder/positions/table resampled from 4x4 to 3x5 (bicubic, as MAE)",
        "decoder/positions/table resampled from 4x4 to 3x5 (bicubic, as MAE)",
    ]


@pytest.mark.parametrize(
    ("path", "overrides", "message"),
    [
        ("mae_encoder.pth", {"model.norm_eps": 1e-6}, "lacks decoder/.*init_from.skip"),
        ("hf4_mae", {"model.norm_eps": 1e-6}, r"1e-12 there, 1e-06 here \(model.norm_eps\)"),
        ("hf4_mae", {"init_from.what": "all"}, "holds parameters alone: set init_from.what=params"),
        ("hf4_mae", {"init_from.state": "best"}, "is no run, .*leave init_from.state=.best. out"),
        ("hf4_mae", {"init_from.format": "mae"}, "has the names of 'hf'"),
        ("hf4_mae", {"init_from.format": "maskjax"}, "has no checkpoints"),
        ("hf4_mae", {"model.positions": "sincos"}, "not the sin-cos table .*positions=learned"),
        (
            "hf4_mae",
            {"model.encoder": {"width": 8, "depth": 1, "heads": 2}},
            r"depth 2 there, 1 here \(model.encoder.depth\)",
        ),
        (
            "hf4_mae",
            {"model.decoder": {"width": 6, "depth": 1, "heads": 3}},
            r"width 12 there, 6 here \(model.decoder.width\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(start, path, overrides, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        start(path, **overrides)


@pytest.fixture(scope="module")
def classifier(load_config, golden):
    """`classifier(path, pool)`: a task and its parameters from a file with a head."""

    def run(path, pool, eps, **overrides):
        config = load_config("finetune", "smoke")
        encoder = {"model.encoder": {"width": 8, "depth": 2, "heads": 2}}
        with config.unlocked():
            config.update_from_flattened_dict(encoder | overrides)
            config.model.update(patch_size=(4, 4), positions="sincos_learned", size="")
            config.model.update(pool=pool, norm_eps=eps)
            config.init_from.path = str(golden / path)
        data = types.SimpleNamespace(shape=(8, 12, 3), num_classes=3)
        task = tasks.build(config, data)
        fresh = runs.initial_state(task, config)
        return task, *init_from.start(fresh, config, lambda *_: 0.25, task)

    return run


@pytest.mark.parametrize(
    ("path", "pool", "eps"),
    [("hf_vit", "class", 1e-3), ("timm_token", "class", 1e-6), ("timm_mean", "mean", 1e-6)],
)
def test_logits_of_a_classifier_equal_the_recorded_ones(classifier, outputs, path, pool, eps):
    task, state, *_ = classifier(path, pool, eps)
    batch = {"inputs": jnp.asarray(outputs["images/wide"])}
    context = Context(jax.random.split(jax.random.key(0), 2), train=False)
    logits = task.outputs()["logits"](state.params, batch, context)
    np.testing.assert_allclose(logits, outputs[f"{path}/logits"], atol=1e-5)


def test_a_classifier_leaves_a_decoder_out_and_begins_its_head_anew(classifier):
    _, _, record, _ = classifier("hf4_mae", "mean", 1e-12)
    assert record["begins anew"] == [
        "head/bias",
        "head/kernel",
        "head/norm/bias",
        "head/norm/scale",
    ]
    assert "decoder/mask_token" in record["left out"]
    assert "encoder/transformer/norm/scale" in record["left out"]
