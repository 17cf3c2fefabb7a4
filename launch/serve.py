"""Serve an export over HTTP: `python launch/serve.py --model=DIR --port=8000`.

    POST /predict    an image, an array (application/x-npy) or JSON; ?what=classes,features
    GET /health      200 once the model is ready
    GET /metrics     for Prometheus
    GET /            a page to try it

It needs the packages of `pip install -e '.[serve]'`. maskjax/tools/README.md says more.
"""

from maskjax import signals

if __name__ == "__main__":  # a worker, which imports this too, finishes its requests first
    signals.leave_when_told()  # the other imports take seconds

import os
from pathlib import Path

from absl import flags

from maskjax.paths import local_path
from maskjax.terminal import say
from maskjax.tools import startup
from maskjax.tools.serving.settings import Settings

_MODEL = flags.DEFINE_string("model", None, "Folder of an export, as stablehlo.", required=True)
_PORT = flags.DEFINE_integer("port", 8000, "Port to listen on.", lower_bound=0, upper_bound=65535)
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0 for all.")
_WORKERS = flags.DEFINE_integer("workers", 1, "Processes, each with the model.", lower_bound=1)
_MAX_BATCH = flags.DEFINE_integer("max_batch", 16, "Rows that are computed together at most.")
_WAIT_MS = flags.DEFINE_float("wait_ms", 2.0, "How long the first row of a batch waits for others.")
_MAX_BYTES = flags.DEFINE_integer("max_bytes", 20_000_000, "Of a request's body.")
_MAX_PIXELS = flags.DEFINE_integer("max_pixels", 40_000_000, "Of an image.")
_TIMEOUT = flags.DEFINE_float("timeout", 30.0, "Seconds until a request is given up.")


def main() -> None:
    """Serve until told to stop."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # workers share a device
    model: Path = local_path(_MODEL.value, "--model")
    settings = Settings(
        str(model.absolute()),
        max_batch=_MAX_BATCH.value,
        wait_ms=_WAIT_MS.value,
        max_bytes=_MAX_BYTES.value,
        max_pixels=_MAX_PIXELS.value,
        timeout=_TIMEOUT.value,
    )
    run = startup.optional("maskjax.tools.serving.run", "serve")
    run.serve(
        settings,
        host=_HOST.value,
        port=_PORT.value,
        workers=_WORKERS.value,
        started=lambda address: say(f"{model}, once compiled, at {address}"),
    )


if __name__ == "__main__":
    startup.run(main)
