"""Every test runs on 4 fake CPU devices, with rank promotion an error and shapes checked."""

import importlib.metadata
import os
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
flags = [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=4"]
# Compiling takes most of the time of these tests' small programs, and the newer way to emit loops
# twice as long as the older one, which jax 0.10 still has.
if importlib.metadata.version("jax").startswith("0.10."):
    flags.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([*flags, "--xla_cpu_parallel_codegen_split_count=1"])
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), "maskjax-test-cache")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

from jaxtyping import install_import_hook  # noqa: E402

install_import_hook("maskjax", "beartype.beartype")

import jax  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

import maskjax.config  # noqa: E402

ROOT = Path(__file__).parents[1]
collect_ignore = ["golden", "benchmarks"]  # they need PyTorch


@pytest.fixture(scope="session")
def load_config():
    """`load_config("mae", "smoke", **{"mask.ratio": 0.5})`: a config with overrides."""

    def load(name, variant="", **overrides):
        config = maskjax.config.load(ROOT / "configs" / f"{name}.py", variant)
        config.update_from_flattened_dict(overrides)
        return config

    return load
