"""How functions refuse by themselves, where nothing checks annotations."""

import jaxtyping
import pytest


@pytest.fixture
def unchecked():
    """As in a plain run: shapes are not checked against the annotations, as the tests do."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
