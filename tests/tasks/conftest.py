"""Small tasks of real configs, and parameters for them."""

import types

import jax
import pytest

from maskjax import tasks

SMALL = {
    "model.encoder.width": 16,
    "model.encoder.depth": 1,
    "model.encoder.heads": 2,
    "model.decoder.width": 8,
    "model.decoder.depth": 1,
    "model.decoder.heads": 2,
    "model.feature_blocks": 1,
}
SHAPES = {"signal": (32, 1), "": (8, 8, 1), "volume": (8, 8, 8, 1)}


@pytest.fixture(scope="session")
def build(load_config):
    """`build("signal", **overrides)`: the task of a config, with a small model."""

    def build(variant="", shape=None, config_name="mae", data=None, **overrides):
        config = load_config(config_name, variant, **(SMALL | overrides))
        data = data or types.SimpleNamespace(shape=shape or SHAPES[variant])
        return tasks.build(config, data)

    return build


@pytest.fixture(scope="session")
def params_of():
    """`params_of(task)`: initial parameters, made once for tasks of the same model."""
    made = {}

    def params_of(task):
        if (task.model, task.shape) not in made:
            made[task.model, task.shape] = jax.jit(task.init)(jax.random.key(0))
        return made[task.model, task.shape]

    return params_of
