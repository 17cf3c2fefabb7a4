"""Keys of a config reach the model and the loss: what each promises, seen in what is computed."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from maskjax import masking
from maskjax.models import transformer
from maskjax.models.patches import patchify
from maskjax.tasks.task import Context
from maskjax.training import run

STEP = jnp.int32(0)


@pytest.fixture(scope="module")
def batch():
    return {"inputs": jax.random.normal(jax.random.key(7), (4, 8, 8, 1))}


@pytest.fixture(scope="module")
def keys():
    return masking.example_keys(jax.random.key(0), 0, jnp.arange(4))


@pytest.fixture(scope="module")
def params(build, params_of):
    return params_of(build())


def equations(jaxpr):
    """Every equation of a jaxpr and of those inside it."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from equations(inner)


def loss_jaxpr(task, params, batch, keys, *, gradient=False):
    """What the loss, or its gradient, computes."""
    function = lambda p: task.loss(p, batch, Context(keys, STEP)).loss  # noqa: E731
    return jax.make_jaxpr(jax.grad(function) if gradient else function)(params).jaxpr


@pytest.fixture(scope="module")
def predicted(build, params, batch, keys):
    """True patches, predicted ones and which are hidden, of a task whose loss is any."""
    patches = patchify(batch["inputs"], (2, 2))
    hidden, _ = build().masker.draw(Context(keys, STEP), batch)
    prediction = jax.jit(build().model.apply)({"params": params}, patches, hidden)
    return np.float64(patches), np.float64(prediction), np.asarray(hidden.is_masked)


@pytest.mark.parametrize(
    ("kind", "on", "target"),
    [("l1", "masked", "pixels"), ("l2", "all", "norm_pix"), ("l1", "all", "norm_pix")],
)
def test_the_loss_is_the_one_that_is_asked_for(
    build, params, batch, keys, predicted, kind, on, target
):
    task = build(**{"loss.kind": kind, "loss.on": on, "loss.target": target})
    loss_sum, weight_sum, *_ = jax.jit(task.loss)(params, batch, Context(keys, STEP))
    patches, prediction, is_masked = predicted
    if target == "norm_pix":
        variance = patches.var(-1, ddof=1, keepdims=True)
        patches = (patches - patches.mean(-1, keepdims=True)) / np.sqrt(variance + 1e-6)
    error = np.abs(prediction - patches) ** {"l1": 1, "l2": 2}[kind]
    counted = error if on == "all" else error[is_masked]
    np.testing.assert_allclose(loss_sum / weight_sum, counted.mean(), rtol=1e-5)
    assert weight_sum == (64 if on == "all" else 48)


def test_drop_path_acts_in_training_alone(build, params_of, batch, keys):
    two = {"model.encoder.depth": 2}  # the first block is never dropped
    task, without = build(**two, **{"model.drop_path": 0.9}), build(**two)
    params, context = params_of(without), Context(keys, STEP)
    plain = jax.jit(without.loss)(params, batch, context).loss
    judged = jax.jit(task.loss)(params, batch, context.replace(train=False)).loss
    np.testing.assert_array_equal(judged, plain)
    assert abs(jax.jit(task.loss)(params, batch, context).loss / plain - 1) > 1e-3


def test_drop_path_rises_linearly_over_the_encoder_and_spares_the_decoder(
    build, batch, keys, monkeypatch
):
    task = build(**{"model.drop_path": 0.3, "model.encoder.depth": 4, "model.decoder.depth": 2})
    rates = []
    monkeypatch.setattr(transformer, "drop_path", lambda x, rate, keys: rates.append(rate) or x)
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    rates.clear()
    jax.eval_shape(task.loss, shapes, batch, Context(keys, STEP))
    # Two branches a block; Huang et al. 2016, section 3: linear from 0 in the first block.
    np.testing.assert_allclose(rates, np.repeat([0, 0.1, 0.2, 0.3, 0, 0], 2), atol=1e-7)


def test_remat_recomputes_blocks_and_changes_no_number(build, params, batch, keys):
    counts, values = [], []
    for remat in (False, True):
        task = build(**{"model.remat": remat})
        inside = equations(loss_jaxpr(task, params, batch, keys, gradient=True))
        counts.append(collections.Counter(equation.primitive.name for equation in inside))
        gradient = jax.jit(jax.value_and_grad(lambda *args: task.loss(*args).loss))  # noqa: B023
        values.append(gradient(params, batch, Context(keys, STEP)))
    kept, recomputed = counts
    assert [sum(n for name, n in x.items() if "remat" in name) for x in counts] == [0, 2]
    # Of a block's 8 products all are computed again but the last, which no gradient needs.
    assert recomputed["dot_general"] == kept["dot_general"] + 2 * 7
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), values[0], values[1]
    )


def test_bfloat16_multiplies_in_it_and_sums_in_float32(build, batch, keys):
    task = build(**{"model.dtype": "bfloat16"})
    params = jax.eval_shape(task.init, jax.random.key(1))
    context = Context(keys, STEP)
    gradient = jax.eval_shape(jax.grad(lambda *args: task.loss(*args).loss), params, batch, context)
    for tree in (params, gradient):
        assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {jnp.dtype("float32")}
    loss, weight, *_ = jax.eval_shape(task.loss, params, batch, context)
    assert loss.dtype == weight.dtype == jnp.float32
    dtypes = collections.defaultdict(set)
    for equation in equations(loss_jaxpr(task, params, batch, keys)):
        for operand in equation.invars[:1]:
            if jnp.issubdtype(operand.aval.dtype, jnp.floating):
                dtypes[equation.primitive.name].add(operand.aval.dtype.name)
    assert dtypes["dot_general"] == {"bfloat16"}
    # Softmax and GELU, their sums, the norms' roots, the loss.
    for name in ("exp", "reduce_max", "reduce_sum", "rsqrt", "square"):
        assert dtypes[name] == {"float32"}, name


@pytest.mark.parametrize(("name", "calls"), [("xla", []), ("cudnn", ["cudnn"] * 2)])
def test_the_attention_backend_is_passed_on_to_every_block(build, monkeypatch, name, calls):
    used = []

    def recorded(query, *_, implementation, **__):
        used.append(implementation)
        return query

    monkeypatch.setattr(jax.nn, "dot_product_attention", recorded)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    options = {"model.attention": name, "model.dtype": "bfloat16", "model.decoder.width": 16}
    task = build(**options)
    used.clear()
    jax.eval_shape(task.init, jax.random.key(0))
    assert used == calls


def test_positions_and_pooling_are_passed_on(build, batch, keys):
    task = build(
        **{
            "model.positions": "learned",
            "model.pool": "both",
            "model.encoder.depth": 2,
            "model.feature_blocks": 2,
        }
    )
    params = jax.eval_shape(task.init, jax.random.key(0))
    assert params["encoder"]["positions"]["table"].shape == (1, 16, 16)
    assert params["decoder"]["positions"]["table"].shape == (1, 16, 8)
    output = task.outputs()["features"]
    features = jax.eval_shape(output, params, batch, Context(keys, STEP))
    assert features.shape == (4, 2 * 2 * 16)


@pytest.mark.parametrize("overrides", [{}, {"mask.schedule": "uniform", "mask.final_ratio": 0.5}])
@pytest.mark.parametrize("config_name", ["mae", "simmim"])
def test_no_dtype_is_promoted_implicitly(build, load_config, config_name, overrides):
    """What is traced under strict promotion: the step, the features, the pictures."""
    task = build(config_name=config_name, **overrides)
    config = load_config(config_name, **overrides)
    keys = jax.random.split(jax.random.key(0), 4)
    inputs, step = jnp.zeros((4, *task.shape)), jnp.int32(0)
    batch = {"inputs": inputs, "is_valid": jnp.ones(4, bool)}
    with jax.numpy_dtype_promotion("strict"):
        state = jax.eval_shape(lambda: run.initial_state(task, config))
        jax.eval_shape(run.make_step(task, config, None), state, batch)
        for function in (task.outputs()["features"], task.reconstruct):
            jax.eval_shape(function, state.params, batch, Context(keys, step))
