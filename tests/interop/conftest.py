"""Files and numbers that other projects wrote (tests/interop/record.py)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from maskjax.interop.published import read
from maskjax.models.architecture import encoder_of
from maskjax.models.patches import patchify

FILES = (
    "hf4_mae",
    "hf5_mae",
    "hf_vit",
    "timm_token",
    "timm_mean",
    "mae_full.pth",
    "mae_encoder.pth",
)


@pytest.fixture(scope="session")
def golden():
    """The folder of files."""
    return Path(__file__).with_name("golden")


@pytest.fixture(scope="session")
def outputs(golden):
    """What was recorded, by name."""
    with np.load(golden / "outputs.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="session")
def published(golden):
    """Every file, read."""
    return {name: read(golden / name) for name in FILES}


@pytest.fixture(scope="session")
def encode():
    """`encode(params, architecture, images)`: tokens of the whole encoder, the norm included."""

    def run(params, architecture, images):
        inner = {path: jnp.asarray(x) for path, x in params.items()}
        tree = traverse_util.unflatten_dict(inner, sep="/")["encoder"]
        encoder = encoder_of(architecture)
        patches = patchify(jnp.asarray(images), architecture.patch_size)
        return jax.jit(encoder.apply)({"params": tree}, patches)

    return run
