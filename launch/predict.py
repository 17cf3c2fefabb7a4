"""Show what a run makes of inputs of your own: `python launch/predict.py --workdir=RUN --input=X`.

    --input=my_pictures/       reconstructions of images, 16 to a picture
    --input=waves.npy          of signals, or other arrays
    --input=12,50,181          the items that follow a history; a file has a history a line
    --input=my_pictures/ --what=features --output=features.csv    numbers, one row an input

The best checkpoint answers where the run watches a number (`stop.metric`), else the newest, as with
--state=newest, whether the run is finished or not. The data that it was trained on are not needed.
"""

from maskjax import signals

signals.leave_when_told()  # the other imports take seconds

import os

from absl import flags

from maskjax.paths import local_path
from maskjax.terminal import say
from maskjax.tools import predict, startup

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_INPUT = flags.DEFINE_multi_string(
    "input", None, "What to predict from, a file, a folder or a text; the flag may be repeated.",
    required=True,
)  # fmt: skip
_WHAT = flags.DEFINE_string(
    "what", "", "What to show: a panel of the task, as reconstructions, or one of its outputs, as "
    "features; the first panel by default.",
)  # fmt: skip
_OUTPUT = flags.DEFINE_string(
    "output", "", "File for it: .png, .pdf or .svg, .txt, .csv or .npz, as fits; a folder for "
    "pictures. In the run's folder by default; words are printed.",
)  # fmt: skip
_DATA = flags.DEFINE_string("data", "", "Where the run's data are now, such as folder:DIR.")
_STATE = flags.DEFINE_enum(
    "state",
    None,
    ["best", "newest"],
    "Which checkpoint answers: of the best evaluation, or the newest.",
)
_LIMIT = flags.DEFINE_integer("limit", 256, "Take at most so many inputs.", lower_bound=1)


def main() -> None:
    """Predict, and say what came out or where it is."""
    # Beside a training run on the same GPU, take only the memory that is needed.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    startup.prepare()
    answers = predict.predict(
        local_path(_WORKDIR.value, "--workdir"),
        _INPUT.value,
        what=_WHAT.value,
        output=local_path(_OUTPUT.value, "--output") if _OUTPUT.value else None,
        source=_DATA.value,
        limit=_LIMIT.value,
        state=_STATE.value or "",
    )
    for line in answers:
        say(line)


if __name__ == "__main__":
    startup.run(main)
