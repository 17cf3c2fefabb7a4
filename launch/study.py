"""Compare settings over seeds: `python launch/study.py --study=configs/studies/vectors.py:smoke`.

Each run is an ordinary folder in `--workdir`/runs. The same command goes on with a study that was
stopped; with `--part=1/2` on one machine and `--part=2/2` on another that share the folder, each
trains half of the runs. At the end: table.md, table.csv, comparison.png, best.json, commands.txt.
Exit codes: 0 done, 2 an error that one line explains (runs that failed among them, after all others
are done), 75 told to stop (SIGTERM, Ctrl-C) with everything saved.
"""

from maskjax import signals

signals.leave_when_told()  # the other imports take seconds

from absl import flags

from maskjax import preemption
from maskjax.paths import local_path
from maskjax.terminal import say
from maskjax.tools import (
    startup,
    study,
    study_computed,
    study_report,
    study_run,
    study_search,
)

_STUDY = flags.DEFINE_string("study", None, "Study file[:variant].", required=True)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the study; runs/<study>-<variant> by default."
)
_PART = flags.DEFINE_string("part", "", "i/n: train every n-th run only, from the i-th on.")


def main() -> None:
    """Train what is not finished, then compare what is there."""
    startup.prepare()
    chosen = study.load(_STUDY.value)
    folder = local_path(_WORKDIR.value or startup.default_workdir(_STUDY.value), "--workdir")
    try:
        failed = {}
        if chosen.compute:
            study_computed.run(chosen, folder, _PART.value)
        elif chosen.search:
            study_search.refuse_part(_PART.value)
            chosen, failed = study_search.search(chosen, folder)
        else:
            failed = study_run.run(chosen, folder, study_run.parse_part(_PART.value))
    except preemption.Preempted:
        preemption.leave_soon()
        raise
    say(study_report.write(chosen, folder, failed))
    say(f"all of it in {folder}")
    study_run.refuse_failures(failed)


if __name__ == "__main__":
    startup.run(main)
