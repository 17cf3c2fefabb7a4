"""Settings for the many small programs of these tests."""

import jax
import pytest


@pytest.fixture(autouse=True)  # one by one: tests of other layers may run in between
def _cheap_compilation():
    """Compiling is all that takes time here, so it is done without most optimizations."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
