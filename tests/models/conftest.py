"""Settings for the many small programs of these tests."""

import pytest


@pytest.fixture(autouse=True)  # one by one: tests of other layers may run in between
def _cheap_compilation(cheap_compilation):
    """Every test here has tiny programs."""
