"""AdamW and its learning rate, against loops written from the definitions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.masking.parameters import leaf_paths
from maskjax.training import rates, schedule, update


def test_learning_rate_of_the_published_pretraining():
    # Batch 4096 at a base rate of 1.5e-4.
    assert schedule.peak_learning_rate(1.5e-4, 4096) == pytest.approx(2.4e-3)


def test_warm_up_is_linear_and_the_cosine_is_half_way_down_in_its_middle():
    options = {"peak": 1.0, "total_steps": 110, "warmup_steps": 10, "min_lr": 0.2}
    expected = {0: 0.0, 5: 0.5, 9: 0.9, 10: 1.0, 60: 0.6, 110: 0.2}
    expected[35] = 0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi / 4))
    for step, rate in expected.items():
        assert float(schedule.learning_rate(step, **options)) == pytest.approx(rate, abs=1e-6)


def test_without_warm_up_the_first_step_has_the_peak():
    assert float(schedule.learning_rate(0, peak=0.3, total_steps=5)) == pytest.approx(0.3)


def test_a_run_shorter_than_its_warm_up_stays_in_it():
    rates = [
        float(schedule.learning_rate(step, peak=1.0, total_steps=4, warmup_steps=40))
        for step in range(4)
    ]
    np.testing.assert_allclose(rates, [0.0, 0.025, 0.05, 0.075], rtol=1e-6)


@pytest.mark.parametrize("clip_norm", [0.0, 1.5])
def test_adamw_equals_a_loop_from_the_paper(clip_norm):
    b1, b2, eps, decay, rate = 0.9, 0.95, 1e-8, 0.1, 0.02
    rng = np.random.default_rng(0)
    params = {"kernel": rng.normal(size=(3, 2)), "bias": rng.normal(size=2)}
    gradients = [{k: rng.normal(size=v.shape) for k, v in params.items()} for _ in range(5)]

    expected = {k: v.copy() for k, v in params.items()}
    m = {k: np.zeros_like(v) for k, v in params.items()}
    v = {k: np.zeros_like(x) for k, x in params.items()}
    for t, raw in enumerate(gradients, 1):
        norm = np.sqrt(sum((g**2).sum() for g in raw.values()))
        scale = min(1.0, clip_norm / norm) if clip_norm else 1.0
        for k in expected:
            g = raw[k] * scale
            m[k] = b1 * m[k] + (1 - b1) * g
            v[k] = b2 * v[k] + (1 - b2) * g**2
            direction = (m[k] / (1 - b1**t)) / (np.sqrt(v[k] / (1 - b2**t)) + eps)
            is_decayed = k == "kernel"
            expected[k] = expected[k] - rate * (direction + is_decayed * decay * expected[k])

    tx = update.adamw(
        b1=b1,
        b2=b2,
        eps=eps,
        weight_decay=decay,
        clip_norm=clip_norm,
        decay_mask=lambda tree: jax.tree.map(lambda x: x.ndim > 1, tree),
    )
    ours = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
    opt_state = tx.init(ours)
    for raw in gradients:
        raw = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), raw)
        direction, opt_state = tx.update(raw, opt_state, ours)
        ours = jax.tree.map(lambda p, d: p - rate * d, ours, direction)
    for k in expected:
        np.testing.assert_allclose(ours[k], expected[k], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 0.1), (0.0, 0.0)])
def test_sgd_equals_a_loop_from_pytorchs_page(momentum, decay):
    """torch.optim.SGD: the first momentum is the gradient, and the rate comes after it."""
    rng, rate = np.random.default_rng(0), 0.05
    expected, buffer = rng.normal(size=(3, 2)), None
    ours = {"kernel": jnp.asarray(expected, jnp.float32)}
    mask = lambda tree: jax.tree.map(lambda x: x.ndim > 1, tree)  # noqa: E731
    tx = update.sgd(b1=momentum, weight_decay=decay, clip_norm=0.0, decay_mask=mask)
    opt_state = tx.init(ours)
    for _ in range(4):
        raw = rng.normal(size=(3, 2))
        gradient = raw + decay * expected
        buffer = gradient if buffer is None else momentum * buffer + gradient
        expected = expected - rate * buffer
        given = {"kernel": jnp.asarray(raw, jnp.float32)}
        direction, opt_state = tx.update(given, opt_state, ours)
        ours = jax.tree.map(lambda p, d: p - rate * d, ours, direction)
    np.testing.assert_allclose(ours["kernel"], expected, rtol=1e-5, atol=1e-6)


PARAMS = {
    "encoder": {
        "class_token": np.ones((1, 1, 4)),
        "patch_embed": {"kernel": np.ones((2, 4)), "bias": np.ones(4)},
        "transformer": {
            "block00": {"norm1": {"scale": np.ones(4)}, "kernel": np.ones((4, 4))},
            "block01": {"norm1": {"scale": np.ones(4)}, "kernel": np.ones((4, 4))},
            "norm": {"scale": np.ones(4), "bias": np.ones(4)},
        },
    },
    "head": {"kernel": np.ones((4, 2)), "bias": np.ones(2)},
}


def make(load_config, **overrides):
    config = load_config("mae", **{f"optimizer.{name}": x for name, x in overrides.items()})
    return update.make_update(config, PARAMS)


def moved(made, rate=0.5, gradient=1.0):
    """How far each leaf moves in one step, and where its average goes."""
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), PARAMS)
    direction = jax.tree.map(lambda x: jnp.full(x.shape, gradient), made.trainable(params))
    new, _, average = jax.jit(made)(direction, made.init(params), params, params, jnp.float32(rate))
    return dict(zip(leaf_paths(params), zip(jax.tree.leaves(new), jax.tree.leaves(average))))


def test_frozen_leaves_stay_have_no_moments_and_stay_in_the_average(load_config):
    made = make(load_config, frozen=("^encoder/",), ema_decay=0.9)
    held = [x.shape for x in jax.tree.leaves(made.init(PARAMS)) if x.ndim]
    assert sorted(held) == [(2,), (2,), (4, 2), (4, 2)]  # both moments of the head alone
    for path, (new, average) in moved(made).items():
        is_frozen = path.startswith("encoder/")
        assert bool((new == 1).all()) == bool((average == 1).all()) == is_frozen, path


def test_weight_decay_spares_biases_scales_and_what_is_said(load_config):
    made = make(load_config, no_decay=("token",), weight_decay=0.5)
    for path, (new, _) in moved(made, gradient=0.0).items():
        expected = 1 - 0.5 * 0.5 * path.endswith("kernel")
        np.testing.assert_allclose(new, expected, err_msg=path)


def test_rates_fall_from_layer_to_layer(load_config):
    """Bao et al. 2022: 0.5 a layer; two blocks, so that the embeddings are 3 below the head."""
    made = make(load_config, layer_decay=0.5, weight_decay=0.0)
    factors = {"block00": 0.25, "block01": 0.5, "norm/": 1, "head/": 1, "": 0.125}
    for path, (new, _) in moved(made).items():
        factor = next(x for part, x in factors.items() if part in path.replace("norm1/", ""))
        # Adam's first direction is the gradient's sign.
        np.testing.assert_allclose(1 - new, 0.5 * factor, rtol=1e-5, err_msg=path)


def test_rates_of_paths_multiply_those_of_layers(load_config):
    rates = (("^head/", 3.0), ("kernel$", 0.5))
    made = make(load_config, layer_decay=0.5, weight_decay=0.0, rates=rates)
    new = {path: float((1 - x).mean()) for path, (x, _) in moved(made).items()}
    assert new["head/bias"] == pytest.approx(0.5 * 3)
    assert new["head/kernel"] == pytest.approx(0.5 * 3 * 0.5)
    (kernel,) = (x for path, x in new.items() if "block00" in path and path.endswith("kernel"))
    assert kernel == pytest.approx(0.5 * 0.25 * 0.5)


def test_lars_is_that_of_the_reference():
    """You et al. 2017, as MAE's linear probe has it: the ratio, then momentum, then the rate."""
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(3, 2)), rng.normal(size=2)
    is_decayed = {"w": True, "b": False}
    made = update.lars(b1=0.9, weight_decay=0.1, clip_norm=0.0, decay_mask=lambda tree: is_decayed)
    params = {"w": jnp.asarray(w, jnp.float32), "b": jnp.asarray(b, jnp.float32)}
    state, of_w, of_b = made.init(params), 0.0, 0.0
    for rate in (0.5, 0.1, 0.0, 2.0):
        g, h = rng.normal(size=(3, 2)), rng.normal(size=2)
        decayed = g + 0.1 * w
        of_w = 0.9 * of_w + 1e-3 * np.linalg.norm(w) / np.linalg.norm(decayed) * decayed
        of_b = 0.9 * of_b + h
        w, b = w - rate * of_w, b - rate * of_b
        gradient = {"w": jnp.asarray(g, jnp.float32), "b": jnp.asarray(h, jnp.float32)}
        direction, state = made.update(gradient, state, params)
        params = jax.tree.map(lambda x, d, r=rate: x - r * d, params, direction)
    np.testing.assert_allclose(params["w"], w, rtol=1e-5)
    np.testing.assert_allclose(params["b"], b, rtol=1e-5)


def test_the_optimizer_is_chosen_by_name_and_freezes_alike(load_config):
    made = make(load_config, name="lars", frozen=("^encoder/",), weight_decay=0.0, b1=0.5)
    held = [x.shape for x in jax.tree.leaves(made.init(PARAMS)) if x.ndim]
    assert sorted(held) == [(2,), (4, 2)]  # one momentum of the head alone
    new = {path: x for path, (x, _) in moved(made).items()}
    # The kernel of ones has the length of its gradient: the ratio is 0.001.
    np.testing.assert_allclose(1 - new["head/kernel"], 0.5 * 1e-3, rtol=1e-3)
    np.testing.assert_allclose(1 - new["head/bias"], 0.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"rates": (("^head/", -1.0),)}, r"optimizer.rates holds .* a factor of at least 0, as in"),
        ({"rates": ("^head/",)}, r"optimizer.rates holds .* give pairs"),
        ({"rates": (("^haed/", 2.0),)}, "optimizer.rates '.haed/' is found in none"),
        ({"frozen": ("^encodr/",)}, "optimizer.frozen '.encodr/' is found in none of the 11 .*enc"),
        ({"no_decay": ("tokens",)}, "optimizer.no_decay 'tokens' is found in none"),
        ({"frozen": ("(",)}, "optimizer.frozen .* give regular expressions"),
        ({"frozen": ("",)}, "freezes all 11 leaves"),
    ],
)
def test_rules_that_do_not_fit_are_refused(load_config, overrides, message):
    with pytest.raises(ValueError, match=message):
        make(load_config, **overrides)


def test_the_norm_of_embeddings_is_of_the_first_layer_and_that_of_the_blocks_of_the_last():
    paths = [
        "encoder/norm/scale",
        "encoder/blocks/block01/norm1/scale",
        "encoder/blocks/norm/scale",
    ]
    assert [*rates.layer_factors(0.5, paths).values()] == [0.125, 0.5, 1.0]  # of 2 blocks


def test_a_layer_wise_rate_needs_layers():
    with pytest.raises(ValueError, match=r"layer_decay 0.5 needs an encoder with blocks"):
        rates.layer_factors(0.5, ["encoder/kernel", "head/block00/kernel"])
