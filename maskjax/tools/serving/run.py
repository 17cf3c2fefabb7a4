"""The server as processes: one that watches, and workers that it starts again when they die."""

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import uvicorn
from uvicorn.supervisors import Multiprocess

from maskjax.tools.exported import check
from maskjax.tools.serving.settings import SHARED, Settings


def serve(
    settings: Settings, *, host: str, port: int, workers: int, started: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; requests that came before are answered first.

    Args:
        settings: of all workers.
        host: address to listen on.
        port: 0 for any that is free.
        workers: processes, each with a copy of the model.
        started: told the server's address once it is had; connections are refused until a worker
            has compiled its programs.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: it cannot be served, or the port cannot be had.
    """
    check(Path(settings.model))  # here, in one line, rather than in each worker
    settings.publish()
    with tempfile.TemporaryDirectory(prefix="maskjax-metrics-") as folder:
        os.environ[SHARED] = folder
        config = uvicorn.Config(
            "maskjax.tools.serving.app:worker",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=int(settings.timeout) + 5,
            timeout_worker_healthcheck=30,
            backlog=1024,
        )
        with _listening(config) as place:
            started("http://{}:{}".format(*place.getsockname()[:2]))
            Multiprocess(config, sockets=[place]).run()


def _listening(config: uvicorn.Config) -> socket.socket:
    """Listen on a port; uvicorn would end the process where it cannot."""
    found = socket.socket(socket.AF_INET6 if ":" in config.host else socket.AF_INET)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((config.host, config.port))
    except OSError as error:
        found.close()
        place = f"{config.host}:{config.port}"
        raise ValueError(
            f"--port: {place} cannot be had ({error.strerror}); give another"
        ) from None
    found.set_inheritable(True)
    return found
