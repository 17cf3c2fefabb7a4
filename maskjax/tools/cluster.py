"""Joining the other processes of a run: by flags, by the environment, or as JAX finds them."""

import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
from absl import flags

from maskjax.terminal import say

_WAIT_SECONDS = 300.0  # as long as JAX waits


class Cluster(NamedTuple):
    """How a process finds the others; what is None is left to JAX, which knows some clusters."""

    coordinator_address: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


# Flags of a cluster, with the variables of the environment that stand in for them.
VARIABLES = {name: f"JAX_{name.upper()}" for name in Cluster._fields}


def define_flags() -> Callable[[], Cluster | None]:
    """Define --multihost and the flags that say where the other processes are.

    Returns:
        What reads them once flags are parsed: None without --multihost and without any of them.
    """
    multihost = flags.DEFINE_bool("multihost", False, "Join the other processes of a cluster.")
    holders = {
        name: flags.DEFINE_string(name, None, f"{meaning}; ${VARIABLES[name]} by default.")
        for name, meaning in {
            "coordinator_address": "HOST:PORT of the first process, which it listens on",
            "num_processes": "How many processes there are",
            "process_id": "Which of them this is, from 0",
        }.items()
    }

    def parsed() -> Cluster | None:
        given = {name: holder.value for name, holder in holders.items()}
        if not multihost.value and not any(value is not None for value in given.values()):
            return None
        return read(given, os.environ)

    return parsed


def read(given: Mapping[str, str | None], environment: Mapping[str, str]) -> Cluster:
    """Read the flags of a cluster, and what they lack from the environment.

    Args:
        given: by the names of `VARIABLES`.
        environment: variables.

    Raises:
        ValueError: some are there and some are missing, or one is out of range.

    Example:
        >>> given = {"coordinator_address": "10.0.0.1:1234", "num_processes": "2"}
        >>> read(given, {"JAX_PROCESS_ID": "1"})
        Cluster(coordinator_address='10.0.0.1:1234', num_processes=2, process_id=1)
    """
    found = {name: given.get(name) or environment.get(VARIABLES[name]) for name in VARIABLES}
    missing = [f"--{name} (or {VARIABLES[name]})" for name, x in found.items() if not x]
    if len(missing) == len(found):
        return Cluster()
    if missing:
        raise ValueError(f"a cluster is given by three values: give {' and '.join(missing)} too")
    address, numbers = found["coordinator_address"], {}
    if not re.fullmatch(r".+:\d+", address or ""):
        raise ValueError(f"--coordinator_address {address!r} must be HOST:PORT, as 10.0.0.1:1234")
    for name in ("num_processes", "process_id"):
        if not re.fullmatch(r"\d+", found[name] or ""):
            raise ValueError(f"--{name} {found[name]!r} must be a whole number")
        numbers[name] = int(found[name] or 0)
    if not numbers["process_id"] < numbers["num_processes"]:
        raise ValueError(
            f"--process_id {numbers['process_id']} must be below --num_processes "
            f"{numbers['num_processes']}: the first process is 0"
        )
    return Cluster(address, **numbers)


def join(cluster: Cluster) -> None:
    """Meet the other processes.

    Where it is known where they meet, that is tried first, for JAX ends a process that finds nobody
    with a stack trace.

    Raises:
        ValueError: JAX finds no cluster, or the processes cannot meet.
    """
    if cluster.coordinator_address:
        host, _, port = cluster.coordinator_address.rpartition(":")
        if cluster.process_id == 0:
            _check_free(int(port))
        else:
            _wait_for(host.strip("[]"), int(port))
    try:
        jax.distributed.initialize(**cluster._asdict())
    except ValueError as error:
        names = ", ".join(f"--{name}" for name in VARIABLES)
        raise ValueError(
            f"--multihost: JAX finds no cluster ({error}); start this under Slurm, Open MPI, "
            f"Kubernetes or on a TPU pod, or give {names} (or set {', '.join(VARIABLES.values())}),"
            " or leave the flag out"
        ) from error


def _check_free(port: int) -> None:
    """Refuse a port that the first process cannot listen on."""
    try:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("", port))
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"--coordinator_address: port {port} of this host cannot be used ({error}); choose "
            "another port, for all processes"
        ) from None


def _wait_for(host: str, port: int) -> None:
    """Wait until the first process listens."""
    end, is_said = time.monotonic() + _WAIT_SECONDS, False
    while True:
        try:
            with socket.create_connection((host, port), timeout=5):
                return
        except (OSError, OverflowError) as error:
            if time.monotonic() > end:
                raise ValueError(
                    f"--coordinator_address: the first process does not answer at {host}:{port} "
                    f"({error}); start it with --process_id=0 and the same address"
                ) from None
        if not is_said:
            say(f"waiting for the first process at {host}:{port}")
            is_said = True
        time.sleep(0.5)
