"""Train a model: `python launch/train.py --config=configs/mae.py`.

A variant follows a colon (`--config=configs/mae.py:smoke`), any key can be overridden
(`--config.batch_size=64`), and the same command resumes a run that was stopped. With `--dry_run` it
says what it would do and the memory that a step takes, and stops before the first step. Exit codes:
0 done, 2 an error that one line explains, 75 told to stop (SIGTERM, Ctrl-C) with everything saved.
"""

from maskjax import signals

signals.leave_when_told()  # the other imports take seconds

import jax
from absl import flags
from ml_collections import config_flags

from maskjax import preemption
from maskjax.paths import local_path
from maskjax.terminal import say
from maskjax.tools import cluster, startup
from maskjax.tools.dry_run import dry_run
from maskjax.tools.report import report
from maskjax.training.loop import train

_CONFIG = config_flags.DEFINE_config_file("config", None, "Config file[:variant].")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run; runs/<config>-<variant> by default."
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Say what would be done, and stop there.")
_CLUSTER = cluster.define_flags()
flags.adopt_module_key_flags(cluster)  # so that --help shows them


def main() -> None:
    """Train, then say how it ended."""
    startup.prepare(_CLUSTER())
    config_path = config_flags.get_config_filename(flags.FLAGS["config"])
    workdir = local_path(_WORKDIR.value or startup.default_workdir(config_path), "--workdir")
    if _DRY_RUN.value:
        for line in dry_run(_CONFIG.value, workdir):
            say(line)
        return
    try:
        summary = train(_CONFIG.value, workdir, config_path)
    except preemption.Preempted:
        preemption.leave_soon()
        raise
    if jax.process_index() == 0:
        say(report(summary, workdir))


if __name__ == "__main__":
    startup.run(main)
