"""Settings for the many tiny programs of these tests."""

import jaxtyping
import pytest


@pytest.fixture(autouse=True)  # one by one: tests of other layers may run in between
def _cheap_compilation(cheap_compilation):
    """Every test here has tiny programs."""


@pytest.fixture
def unchecked():
    """As in a plain run: shapes are not checked against the annotations, as the tests do."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
