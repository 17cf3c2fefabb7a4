"""The mae task: from config to loss, features and reconstructions, for every rank."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking
from maskjax.models.patches import patchify
from maskjax.tasks.options import patch_grid
from maskjax.tasks.task import Context


def batch_of(task, size=4):
    return {"inputs": jax.random.normal(jax.random.key(7), (size, *task.shape))}


def keys_of(size=4, step=0):
    return masking.example_keys(jax.random.key(0), step, jnp.arange(size))


def features_of(task, params, inputs):
    context = Context(keys_of(len(inputs)))
    return jax.jit(task.outputs()["features"])(params, {"inputs": inputs}, context)


@pytest.mark.parametrize("variant", ["signal", "", "volume"])
@pytest.mark.parametrize("config_name", ["mae", "simmim"])
def test_gradients_reach_every_parameter(build, params_of, variant, config_name):
    task = build(variant, config_name=config_name)
    params = params_of(task)
    batch = batch_of(task)
    gradients = jax.jit(jax.grad(lambda *args: task.loss(*args).loss))(
        params, batch, Context(keys_of(), jnp.int32(0))
    )
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        name = jax.tree_util.keystr(path)
        # Softmax does not change when a constant is added to all logits, so key biases get none.
        if "key" in name and "bias" in name:
            continue
        assert np.abs(gradient).max() > 0, name


@pytest.mark.parametrize("rule", ["random", "block", "inverse_block", "grid", "sliding", "tube"])
def test_every_rule_trains_on_its_exact_count(build, params_of, rule):
    task = build(**{"mask.rule": rule})
    params = params_of(task)
    loss_sum, weight_sum, metrics, _ = jax.jit(task.loss)(
        params, batch_of(task), Context(keys_of(), jnp.int32(3))
    )
    assert weight_sum == 4 * 12
    assert metrics["mask_ratio"].numbers("mask_ratio") == {"mask_ratio": 0.75}
    assert np.isfinite(loss_sum)


def test_loss_is_that_of_the_papers_formula(build, params_of):
    task = build()
    params = params_of(task)
    batch = batch_of(task)
    loss_sum, weight_sum, *_ = jax.jit(task.loss)(params, batch, Context(keys_of(), jnp.int32(0)))
    patches = np.asarray(patchify(batch["inputs"], task.patch_size), np.float64)
    hidden, _ = task.masker.draw(Context(keys_of(), jnp.int32(0)), {})
    prediction = jax.jit(task.model.apply)({"params": params}, jnp.float32(patches), hidden)
    total = count = 0
    for b in range(4):
        for i in range(16):
            if hidden.is_masked[b, i]:
                patch = patches[b, i]
                target = (patch - patch.mean()) / np.sqrt(patch.var(ddof=1) + 1e-6)
                total += np.mean((np.asarray(prediction[b, i]) - target) ** 2)
                count += 1
    np.testing.assert_allclose(loss_sum / weight_sum, total / count, rtol=1e-5)


def test_numbers_that_are_not_known_are_left_out_of_the_loss(build, params_of):
    task = build()
    params, is_known = params_of(task), np.random.default_rng(0).random((4, *task.shape)) < 0.4
    inputs = jnp.where(is_known, batch_of(task)["inputs"], 0)
    batch = {"inputs": inputs, "is_known": jnp.asarray(is_known)}
    loss_sum, weight_sum, *_ = jax.jit(task.loss)(params, batch, Context(keys_of(), jnp.int32(0)))
    patches = np.asarray(patchify(inputs, task.patch_size), np.float64)
    known = np.asarray(patchify(batch["is_known"], task.patch_size))
    hidden, _ = task.masker.draw(Context(keys_of(), jnp.int32(0)), {})
    prediction = jax.jit(task.model.apply)({"params": params}, jnp.float32(patches), hidden)
    total = count = 0
    for b, i in np.argwhere(np.asarray(hidden.is_masked) & known.any(-1)):
        there = patches[b, i][known[b, i]]
        variance = there.var(ddof=1) if len(there) > 1 else 0
        target = (there - there.mean()) / np.sqrt(variance + 1e-6)
        total += np.mean((np.asarray(prediction[b, i])[known[b, i]] - target) ** 2)
        count += 1
    assert weight_sum == count < hidden.is_masked.sum()
    np.testing.assert_allclose(loss_sum, total, rtol=1e-5)


@pytest.mark.parametrize("config_name", ["mae", "simmim"])
def test_what_is_missing_and_hidden_never_reaches_the_model(build, params_of, config_name):
    """Whatever stands where there is no number: loss and features are the same."""
    options = {"data.missing": "hide", "model.pool": "both"}
    task = build(config_name=config_name, **options)
    params, rng = params_of(task), np.random.default_rng(0)
    is_known = rng.random((4, *task.shape)) < 0.9
    inputs = batch_of(task)["inputs"]
    found = []
    for junk in (0.0, 1e3):
        batch = {"inputs": jnp.where(is_known, inputs, junk), "is_known": jnp.asarray(is_known)}
        loss = jax.jit(task.loss)(params, batch, Context(keys_of())).loss
        features = jax.jit(task.outputs()["features"])(params, batch, Context(keys_of()))
        found.append((loss, features))
    (loss, features), (other_loss, other_features) = found
    np.testing.assert_allclose(other_loss, loss, rtol=1e-5)
    np.testing.assert_allclose(other_features, features, atol=1e-5)


def test_loss_of_a_batch_is_the_sum_over_its_parts(build, params_of):
    task = build()
    params, batch = params_of(task), batch_of(task)
    whole = jax.jit(task.loss)(params, batch, Context(keys_of(), jnp.int32(0))).loss
    parts = [
        jax.jit(task.loss)(
            params, {"inputs": batch["inputs"][i]}, Context(keys_of()[i], jnp.int32(0))
        )[0]
        for i in (slice(0, 1), slice(1, 4))
    ]
    np.testing.assert_allclose(whole, sum(parts), rtol=1e-5)


def test_padding_examples_do_not_count(build, params_of):
    task = build()
    params, batch = params_of(task), batch_of(task)
    padded = {
        "inputs": batch["inputs"].at[2:].set(0),
        "is_valid": jnp.array([True, True, False, False]),
    }
    short = {"inputs": batch["inputs"][:2]}
    a, a_weight, *_ = jax.jit(task.loss)(params, padded, Context(keys_of(), jnp.int32(0)))
    b, b_weight, *_ = jax.jit(task.loss)(params, short, Context(keys_of(2), jnp.int32(0)))
    np.testing.assert_allclose(a, b, rtol=1e-5)
    assert a_weight == b_weight


def test_masks_differ_between_examples_and_steps_and_repeat_with_the_key(build):
    task = build()
    first = task.masker.draw(Context(keys_of(8), jnp.int32(0)), {})[0].is_masked
    np.testing.assert_array_equal(
        first, task.masker.draw(Context(keys_of(8), jnp.int32(0)), {})[0].is_masked
    )
    assert len(np.unique(first, axis=0)) > 4
    later = task.masker.draw(Context(keys_of(8, step=1), jnp.int32(1)), {})[0].is_masked
    assert (first != later).any(axis=1).sum() > 4


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_ratio_that_moves_hides_what_the_schedule_says(build, params_of, schedule):
    task = build(
        total_steps=10,
        **{"mask.schedule": schedule, "mask.ratio": 0.5, "mask.final_ratio": 0.75},
    )
    params = params_of(task)
    for step, hidden in ((0, 8), (10, 12)):
        _, weight_sum, *_ = jax.jit(task.loss)(
            params, batch_of(task), Context(keys_of(), jnp.int32(step))
        )
        assert weight_sum == 4 * hidden


def test_a_drawn_ratio_stays_within_its_bounds(build):
    task = build(
        **{"mask.schedule": "uniform", "mask.ratio": 0.75, "mask.final_ratio": 0.25},
    )
    counts = task.masker.draw(Context(keys_of(200), jnp.int32(0)), {})[0].is_masked.sum(1)
    assert 4 <= counts.min() <= 5  # 4 only for a draw of exactly .25
    assert counts.max() == 12
    assert len(np.unique(counts)) >= 8


def test_features_do_not_depend_on_the_rest_of_the_batch(build, params_of):
    task = build(**{"model.pool": "both", "model.encoder.depth": 2, "model.feature_blocks": 2})
    params, batch = params_of(task), batch_of(task)
    features = features_of(task, params, batch["inputs"])
    assert features.shape == (4, 2 * 2 * 16)
    assert features.dtype == jnp.float32
    np.testing.assert_allclose(
        features[1:2], features_of(task, params, batch["inputs"][1:2]), atol=1e-5
    )


def test_pooled_features_are_class_token_and_mean(build, params_of):
    task = build(**{"model.pool": "mean"})
    params, batch = params_of(task), batch_of(task)
    patches = patchify(batch["inputs"], task.patch_size)
    tokens = jax.jit(task.model.apply, static_argnames="method")(
        {"params": params}, patches, method="encode"
    )
    np.testing.assert_allclose(
        features_of(task, params, batch["inputs"]),
        np.asarray(tokens)[:, 1:].mean(1),
        atol=1e-6,
    )
    class_task = build(**{"model.pool": "class"})
    np.testing.assert_allclose(
        features_of(class_task, params, batch["inputs"]), tokens[:, 0], atol=1e-6
    )


@pytest.mark.parametrize("target", ["pixels", "norm_pix"])
def test_reconstruction_pastes_predictions_over_hidden_patches_only(build, params_of, target):
    task = build(**{"loss.target": target})
    params, batch = params_of(task), batch_of(task)
    parts = jax.jit(task.reconstruct)(params, batch, Context(keys_of(), jnp.int32(0)))
    is_hidden = np.asarray(parts["is_hidden"])
    np.testing.assert_array_equal(parts["is_absent"], is_hidden)
    assert is_hidden.mean() == 0.75
    assert not np.asarray(parts["seen"])[is_hidden].any()
    for part in parts.values():  # NaN would end a run under JAX_DEBUG_NANS
        assert np.isfinite(part).all()
    inputs = np.asarray(batch["inputs"])
    np.testing.assert_array_equal(np.asarray(parts["seen"])[~is_hidden], inputs[~is_hidden])
    np.testing.assert_array_equal(np.asarray(parts["pasted"])[~is_hidden], inputs[~is_hidden])
    np.testing.assert_array_equal(
        np.asarray(parts["pasted"])[is_hidden], np.asarray(parts["prediction"])[is_hidden]
    )


def test_norm_pix_predictions_get_back_the_true_patch_s_mean_and_scale(build, params_of):
    task = build(**{"model.pool": "mean"})
    params, batch = params_of(task), batch_of(task)
    patches = np.asarray(patchify(batch["inputs"], task.patch_size), np.float64)
    hidden, _ = task.masker.draw(Context(keys_of(), jnp.int32(0)), {})
    raw = np.asarray(jax.jit(task.model.apply)({"params": params}, jnp.float32(patches), hidden))
    scale = np.sqrt(patches.var(-1, ddof=1, keepdims=True) + 1e-6)
    expected = raw * scale + patches.mean(-1, keepdims=True)
    parts = jax.jit(task.reconstruct)(params, batch, Context(keys_of(), jnp.int32(0)))
    drawn = patchify(parts["prediction"], task.patch_size)
    np.testing.assert_allclose(drawn, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rule", ["sliding", "sliding_block"])
def test_a_sliding_window_can_follow_the_key_instead_of_the_step(build, rule):
    by_step = build(**{"mask.rule": rule})
    drawn = by_step.masker.draw(Context(keys_of(8), jnp.int32(3)), {})[0].is_masked
    assert (drawn == drawn[:1]).all()
    by_key = build(**{"mask.rule": rule, f"mask.{rule}.follows": "key"})
    assert (by_key.masker.draw(Context(keys_of(8), jnp.int32(3)), {})[0].is_masked != drawn).any()


@pytest.mark.parametrize("fill", ["noise", "zero"])
def test_simmim_can_see_noise_or_zeros_in_place_of_tokens(build, params_of, fill):
    task = build(config_name="simmim", **{"mask.fill": fill})
    params, batch = params_of(task), batch_of(task)
    assert "mask_token" not in params["encoder"]
    parts = jax.jit(task.reconstruct)(params, batch, Context(keys_of(), jnp.int32(0)))
    changed = np.asarray(parts["seen"]) != np.asarray(batch["inputs"])
    np.testing.assert_allclose(changed.mean(), 10 / 16)  # 16 - int(16 * 0.4)
    np.testing.assert_array_equal(parts["is_hidden"], changed)
    assert not np.asarray(parts["is_absent"]).any()
    if fill == "zero":
        assert not np.asarray(parts["seen"])[changed].any()


def test_a_warning_says_that_very_many_patches_cost_much(caplog):
    assert patch_grid((128, 64, 1), (2, 2)) == (64, 32)
    assert not caplog.text
    assert patch_grid((160, 120, 3), (2, 2)) == (80, 60)
    assert "160x120x3 has 4800 patches" in caplog.text
    assert "model.patch_size" in caplog.text


BAD = [
    ({"task": "mea"}, r"unknown task 'mea' \(did you mean 'mae'\?\)"),
    ({"model.name": "beit"}, "unknown model.name 'beit'"),
    ({"model.pool": "max"}, "unknown model.pool 'max'"),
    (
        {"model.patch_size": (3, 3)},
        "model.patch_size: patch side 3 does not divide axis 0",
    ),
    ({"model.patch_size": (2.0, 2.0)}, r"model.patch_size \(2.0, 2.0\) must hold whole numbers"),
    ({"model.patch_size": (2,)}, r"patch size \(2,\) has 1 sides"),
    ({"model.patch_size": (1, 1)}, "norm_pix needs at least 2 numbers in a patch"),
    ({"model.size": "XL"}, "unknown model.size 'XL'"),
    (
        {"model.size": "B"},
        "'B' decides nothing where .* of model.encoder and model.decoder",
    ),
    ({"model.encoder.width": 0}, "model.encoder has width 0"),
    ({"model.encoder.depth": 10**5}, "has width 16 and depth 100000: .* at most 65536 and 1024"),
    ({"model.decoder.width": 10**9}, "model.decoder has width 1000000000 and depth 1"),
    ({"model.encoder.heads": 3}, "model.encoder.width 16 is not a multiple of its 3 heads"),
    ({"model.dtype": "float16"}, "unknown model.dtype 'float16'"),
    ({"model.feature_blocks": 9}, "feature_blocks 9 must be from 1 to the encoder's 1"),
    ({"model.norm_eps": 0.0}, "model.norm_eps 0.0 must be above 0 and below 1, as 1e-6"),
    ({"model.drop_path": 1.0}, "model.drop_path 1.0 must be at least 0 and below 1"),
    ({"model.attention": "cudnn"}, "'cudnn' needs model.dtype 'bfloat16'"),
    (
        {"model.attention": "cudnn", "model.dtype": "bfloat16", "model.encoder.heads": 4},
        "head width that is a multiple of 8, .* not 4",
    ),
    ({"model.attention": "cudnn", "model.dtype": "bfloat16"}, "needs an NVIDIA GPU, .* 'cpu'"),
    ({"model.attention": "flash"}, "unknown model.attention 'flash'"),
    ({"mask.rule": "blok"}, r"unknown mask.rule 'blok' \(did you mean 'block'\?\)"),
    ({"mask.rule": "ratio"}, "unknown mask.rule 'ratio'"),  # as are other keys of the section
    ({"mask.rule": "schedule"}, "unknown mask.rule 'schedule'"),
    (
        {"mask.rule": "attention_guided"},
        r"'attention_guided' needs .*, which .* one of \['block', ",
    ),
    ({"mask.sliding.follows": "keyy"}, r"mask.sliding.follows 'keyy' \(did you mean 'key'\?\)"),
    (
        {"mask.rule": "grid", "mask.grid.stride": 0},
        "mask.rule 'grid' with mask.grid {'stride': 0}: stride 0 for grid",
    ),
    (
        {"mask.rule": "multi_block", "mask.multi_block.target_scale": ("x", "y")},
        r"with mask.multi_block .*'target_scale': \('x', 'y'\)",
    ),
    ({"mask.rule": "whole_word"}, r"is for \('text',\), not for image: use one of "),
    (
        {"mask.rule": "block", "mask.block.min_area": 13},
        "mask.block.min_area 13: only 12 of 16 positions are hidden, .* lower it",
    ),
    (
        {"mask.rule": "inverse_block", "mask.inverse_block.min_area": 5},
        "mask.inverse_block.min_area 5: only 4 of 16 positions stay visible",
    ),
    ({"mask.ratio": 1.0}, "mask.ratio 1.0 must lie strictly between 0 and 1"),
    ({"mask.ratio": 0.99}, "mask.ratio 0.99 hides 16 of 16 patches"),
    ({"mask.final_ratio": 1.5}, "mask.final_ratio 1.5 must lie strictly between 0 and 1"),
    ({"mask.schedule": "linear", "mask.final_ratio": 0.99}, "mask.final_ratio 0.99 hides 16 of 16"),
    ({"mask.schedule": "cosine"}, "from mask.ratio 0.75 to the same mask.final_ratio is constant"),
    ({"mask.schedule": "linea"}, r"unknown mask.schedule 'linea' \(did you mean 'linear'\?\)"),
    ({"mask.fill": "token"}, r"unknown mask.fill \(with model.name 'mae'\) 'token'"),
    ({"loss.target": "hog"}, "unknown loss.target 'hog'"),
    ({"loss.kind": "l3"}, "unknown loss.kind 'l3'"),
    ({"loss.on": "visible"}, "unknown loss.on 'visible'"),
]


@pytest.mark.parametrize(("overrides", "message"), BAD, ids=[next(iter(b[0])) for b in BAD])
def test_what_does_not_fit_is_refused_before_anything_runs(build, overrides, message):
    with pytest.raises(ValueError, match=message):
        build(**overrides)


def test_flops_grow_with_visible_patches(build):
    light = build(**{"mask.ratio": 0.75}).flops_per_example
    heavy = build(**{"mask.ratio": 0.25}).flops_per_example
    assert light < heavy


def test_flops_are_close_to_what_xla_counts(build, params_of):
    task = build(shape=(32, 32, 3), **{"model.encoder.width": 64})
    params, batch = params_of(task), batch_of(task, 1)

    def loss(p):
        return task.loss(p, batch, Context(keys_of(1), jnp.int32(0))).loss

    counted = jax.jit(jax.grad(loss)).lower(params).cost_analysis()["flops"]
    assert 0.5 * counted < task.flops_per_example < counted
