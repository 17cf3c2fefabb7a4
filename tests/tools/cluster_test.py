"""How a process is told where the others are."""

import socket

import pytest

from maskjax.tools import cluster

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


@pytest.fixture
def taken():
    """A port that somebody listens on."""
    with socket.create_server(("localhost", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use_is_refused_before_jax_tries_it(taken):
    with pytest.raises(ValueError, match=rf"port {taken} .* used .*another port"):
        cluster.join(cluster.Cluster(f"localhost:{taken}", 2, 0))
    with pytest.raises(ValueError, match="port 70000 of this host cannot be used"):
        cluster.join(cluster.Cluster("localhost:70000", 2, 0))


def test_a_first_process_that_does_not_answer_is_waited_for_and_named(monkeypatch, capsys):
    monkeypatch.setattr(cluster, "_WAIT_SECONDS", 0.1)
    with pytest.raises(ValueError, match=r"does not answer at localhost:1 .*--process_id=0"):
        cluster.join(cluster.Cluster("localhost:1", 2, 1))
    assert capsys.readouterr().out == "waiting for the first process at localhost:1\n"


def test_who_answers_is_joined(taken, monkeypatch):
    joined = []
    monkeypatch.setattr(cluster.jax.distributed, "initialize", lambda **given: joined.append(given))
    cluster.join(cluster.Cluster(f"localhost:{taken}", 2, 1))
    cluster.join(cluster.Cluster())
    address = {"coordinator_address": f"localhost:{taken}", "num_processes": 2, "process_id": 1}
    assert joined == [address, dict.fromkeys(address)]
