"""Draw a run: `python launch/visualize.py --workdir=runs/mae-default`.

Writes the pictures of the best checkpoint, where the run watches a number (`stop.metric`), else of
the newest, into the run's `figures/`, whether it is finished or still running. What it makes of
images of your own is shown by launch/predict.py. Of a run with `param_masks` also sparsity.md,
sparsity.png, weights.png and mask_changes.png: what is hidden of each leaf, what changed since
older checkpoints and from line to line, how masks overlap with those and with other runs', and how
the weights are distributed.
"""

from maskjax import signals

signals.leave_when_told()  # the other imports take seconds

import os

from absl import flags

from maskjax.paths import local_path
from maskjax.terminal import say
from maskjax.tools import startup, visualize

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_DATA = flags.DEFINE_string("data", "", "Where the run's data are now, such as folder:DIR.")
_OUT = flags.DEFINE_string("out", "", "Folder for the pictures; the run's figures/ by default.")
_STATE = flags.DEFINE_enum(
    "state",
    None,
    ["best", "newest"],
    "Which checkpoint is drawn: of the best evaluation, or the newest.",
)
_AGAINST = flags.DEFINE_multi_string(
    "against", [], "Runs of the same model, whose masks of weights are laid beside."
)
_SENSITIVITY = flags.DEFINE_multi_float(
    "sensitivity", [], "Share of each leaf alone that is hidden, to see what the others make."
)
_IMAGES = flags.DEFINE_multi_string("images", [], "Now --input of launch/predict.py.")
flags.DEFINE_integer("limit", 256, "Now --limit of launch/predict.py.")


def main() -> None:
    """Draw, then say where."""
    # Beside a training run on the same GPU, take only the memory that is needed.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    visualize.refuse_images(_WORKDIR.value, _IMAGES.value)
    startup.prepare()
    workdir = local_path(_WORKDIR.value, "--workdir")
    out = local_path(_OUT.value, "--out") if _OUT.value else None
    options = {"against": _AGAINST.value, "sensitivity": _SENSITIVITY.value}
    state = _STATE.value or ""
    for path in visualize.draw_run(workdir, source=_DATA.value, out=out, state=state, **options):
        say(str(path))


if __name__ == "__main__":
    startup.run(main)
