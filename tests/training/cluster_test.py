"""How a process is told where the others are."""

import pytest

from maskjax.training import cluster

GIVEN = {"coordinator_address": "10.0.0.1:1234", "num_processes": "2", "process_id": "1"}
NONE = dict.fromkeys(GIVEN)
ENVIRONMENT = {cluster.VARIABLES[name]: value for name, value in GIVEN.items()}


def test_flags_win_over_the_environment_and_nothing_leaves_it_to_jax():
    assert cluster.read(GIVEN, {}) == ("10.0.0.1:1234", 2, 1)
    assert cluster.read(NONE, ENVIRONMENT) == ("10.0.0.1:1234", 2, 1)
    assert cluster.read(NONE | {"process_id": "0"}, ENVIRONMENT) == ("10.0.0.1:1234", 2, 0)
    assert cluster.read(NONE, {"JAX_PLATFORMS": "cpu"}) == (None, None, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"process_id": None}, r"give --process_id \(or JAX_PROCESS_ID\) too"),
        ({"coordinator_address": "host"}, "'host' must be HOST:PORT"),
        ({"num_processes": "two"}, "--num_processes 'two' must be a whole number"),
        ({"process_id": "2"}, "--process_id 2 must be below --num_processes 2"),
    ],
)
def test_what_is_missing_or_wrong_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        cluster.read(GIVEN | change, {})
