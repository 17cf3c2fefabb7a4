"""The toy task of these tests, which scripts of theirs import too."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def toy():
    """Load the module toy.py beside this file."""
    path = Path(__file__).with_name("toy.py")
    if "toy" not in sys.modules:
        spec = importlib.util.spec_from_file_location("toy", path)
        sys.modules["toy"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["toy"])
    return sys.modules["toy"]
