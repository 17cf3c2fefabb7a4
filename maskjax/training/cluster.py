"""Joining the other processes of a run: by flags, by the environment, or as JAX finds them."""

import os
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
from absl import flags


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

    Raises:
        ValueError: JAX finds no cluster, or the processes do not meet.
    """
    try:
        jax.distributed.initialize(**cluster._asdict())
    except ValueError as error:
        names = ", ".join(f"--{name}" for name in VARIABLES)
        variables = ", ".join(VARIABLES.values())
        raise ValueError(
            f"--multihost: JAX finds no cluster ({error}); start this under Slurm, Open MPI, "
            f"Kubernetes or on a TPU pod, or give {names} (or set {variables}), or leave the flag "
            "out"
        ) from error
    except RuntimeError as error:
        where = cluster.coordinator_address or "the coordinator"
        raise ValueError(
            f"--multihost: the processes do not meet at {where} ({error}); start all of them with "
            "the same --coordinator_address and --num_processes"
        ) from error
