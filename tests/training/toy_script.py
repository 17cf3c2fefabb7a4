"""Train the toy task in a process of its own: `toy_script.py FOLDER [JSON of options]`.

Options: "config" (overrides), "port", "process", "processes" (join a cluster), "slow_from" (a step
from which batches take half a second, so that a signal finds the run under way). Prints the losses.
"""

import json
import sys
import time
from pathlib import Path

import jax

folder, options = Path(sys.argv[1]), json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}")
if "port" in options:
    address = f"localhost:{options['port']}"
    jax.distributed.initialize(address, options["processes"], options["process"])

import toy  # noqa: E402

from maskjax.training import loggers, loop, preemption  # noqa: E402


class SlowData(toy.Data):
    """Data whose batches take long from some step on."""

    def train_batches(self, start_step):
        for step, batch in enumerate(super().train_batches(start_step), start_step):
            if step >= options.get("slow_from", 10**9):
                time.sleep(0.5)
            yield batch


config = toy.config(**options.get("config", {}))
data = SlowData(
    config.batch_size, process_index=jax.process_index(), process_count=jax.process_count()
)
try:
    summary = loop.fit(toy.Task(), data, config, folder)
except preemption.Preempted as stopped:
    print(stopped)
    sys.exit(preemption.EXIT_CODE)
losses = [line["loss"] for line in loggers.read_metrics(folder) if line["split"] == "train"]
print(json.dumps({"losses": losses, **summary}))
