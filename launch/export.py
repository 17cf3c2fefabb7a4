"""Export a run: `python launch/export.py --workdir=RUN --output=DIR --format=stablehlo`.

    --format=hf            weights that transformers loads (maskjax/interop/README.md)
    --format=timm          weights that timm loads; --weights=PATH in place of --workdir turns
                           published weights into one of the two
    --format=sparse        weights without those that masks hide, and a bit a weight, which
                           config.init_from.path and --weights take
    --format=stablehlo     programs that JAX alone runs, from stored numbers to the task's outputs
    --format=onnx          what jax2onnx converts of them, for onnxruntime
    --format=savedmodel    the same for TensorFlow and TF Serving, by orbax-export
    --format=run           a smaller dense run, where masks hide neurons or heads (tools/shrink.py)

What each format holds, and how it is loaded, is said in the README.md that is written beside it.
"""

from maskjax import signals

signals.leave_when_told()  # the other imports take seconds

import os

from absl import flags

from maskjax.paths import local_path
from maskjax.terminal import say
from maskjax.tools import export, export_weights, shrink, startup

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.")
_WEIGHTS = flags.DEFINE_string("weights", None, "Or a file of weights, or a folder with one.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder to make.", required=True)
_FORMAT = flags.DEFINE_string(
    "format", None, f"One of {', '.join(export.FORMATS)}, run.", required=True
)
_LICENCE = flags.DEFINE_string("licence", "", "Licence of the weights, for the model card.")
_PART = flags.DEFINE_enum("part", "", ["", "encoder"], "What of a model, for weights.")
_STATE = flags.DEFINE_enum(
    "state",
    "",
    ["", "best", "newest"],
    "Which checkpoint; the best where the run watches a number.",
)


def main() -> None:
    """Export, and say what was written."""
    # Beside a training run on the same GPU, take only the memory that is needed.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    startup.prepare()
    paths = {"--workdir": _WORKDIR.value, "--weights": _WEIGHTS.value, "--output": _OUTPUT.value}
    workdir, weights, output = (value and local_path(value, name) for name, value in paths.items())
    options = {"format": _FORMAT.value, "licence": _LICENCE.value, "part": _PART.value}
    if options["format"] == "run" and workdir:
        lines = shrink.shrink(workdir, output, which=_STATE.value)
    elif export_weights.is_of_file(workdir, weights):
        lines = export_weights.convert(weights, output, **options)
    else:
        lines = export.export(workdir, output, which=_STATE.value, **options)
    for line in lines:
        say(line)


if __name__ == "__main__":
    startup.run(main)
