"""AdamW and its learning rate, against loops written from the definitions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.training import optimizer


def test_learning_rate_of_the_published_pretraining():
    # Batch 4096 at a base rate of 1.5e-4.
    assert optimizer.peak_learning_rate(1.5e-4, 4096) == pytest.approx(2.4e-3)


def test_warm_up_is_linear_and_the_cosine_is_half_way_down_in_its_middle():
    options = {"peak": 1.0, "total_steps": 110, "warmup_steps": 10, "min_lr": 0.2}
    expected = {0: 0.0, 5: 0.5, 9: 0.9, 10: 1.0, 60: 0.6, 110: 0.2}
    expected[35] = 0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi / 4))
    for step, rate in expected.items():
        assert float(optimizer.learning_rate(step, **options)) == pytest.approx(rate, abs=1e-6)


def test_without_warm_up_the_first_step_has_the_peak():
    assert float(optimizer.learning_rate(0, peak=0.3, total_steps=5)) == pytest.approx(0.3)


def test_a_run_shorter_than_its_warm_up_stays_in_it():
    rates = [
        float(optimizer.learning_rate(step, peak=1.0, total_steps=4, warmup_steps=40))
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

    tx = optimizer.adamw(
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
