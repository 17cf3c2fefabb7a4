"""Show what a run makes of inputs of your own: `python launch/predict.py --workdir=RUN --input=X`.

    --input=my_pictures/       reconstructions of images, 16 to a picture
    --input=waves.npy          of signals, or other arrays
    --input="The [MASK] sat"   words for the holes of a text (a file has a text a line), its class,
                               its words' labels; --what=generate writes on, punctuate adds marks
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
from maskjax.tools import holes, predict, startup
from maskjax.tools.answers import open_answers

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.")
_MODEL = flags.DEFINE_string("model", None, "Folder of an export (stablehlo), in place of a run's.")
_INPUT = flags.DEFINE_multi_string(
    "input", None, "A file, a folder or a text; the flag may be repeated.", required=True
)
_WHAT = flags.DEFINE_string(
    "what", "", "A panel of the task, as fill, by default the first, or an output, as features."
)
_HOW = flags.DEFINE_string(
    "how", "", "How holes are filled, as new_tokens=40,temperature=0.8 (maskjax/tools/README.md)."
)
_OUTPUT = flags.DEFINE_string(
    "output", "", "A .png, .pdf, .svg, .txt, .csv or .npz, or a folder of pictures; - prints JSON, "
    "a line an input. In the run's folder by default; words are printed.",
)  # fmt: skip
_DATA = flags.DEFINE_string("data", "", "Where the run's data are now, such as folder:DIR.")
_STATE = flags.DEFINE_enum("state", None, ["best", "newest"], "Which checkpoint answers.")
_LIMIT = flags.DEFINE_integer(
    "limit", None, "Take at most so many inputs; 256 are shown by default, and all computed.",
    lower_bound=1,
)  # fmt: skip
_BAD_FILES = flags.DEFINE_enum(
    "bad_files", "", ["", "skip", "error"], "Leave out what cannot be decoded, or refuse it; by "
    "default it is left out of folders and refused where it was named.",
)  # fmt: skip


def main() -> None:
    """Predict, and say what came out or where it is."""
    # Beside a training run on the same GPU, take only the memory that is needed.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    startup.prepare()
    answers = open_answers(
        local_path(_WORKDIR.value, "--workdir") if _WORKDIR.value else None,
        local_path(_MODEL.value, "--model") if _MODEL.value else None,
        source=_DATA.value,
        state=_STATE.value or "",
    )
    lines = predict.predict(
        holes.prepare(answers, _WHAT.value, _HOW.value),
        _INPUT.value,
        what=_WHAT.value,
        output=local_path(_OUTPUT.value, "--output") if _OUTPUT.value else None,
        limit=_LIMIT.value,
        bad_files=_BAD_FILES.value,
    )
    for line in lines:
        say(line)


if __name__ == "__main__":
    startup.run(main)
