"""Draw what every masking rule hides: `python launch/draw_masks.py --out=masks`.

Writes one PNG a modality. Real are the photograph (images, regions, frequencies, fills), the
sentence and the weights, which are those of a trained layer. Made up are the spectrogram, of a
generated sound; the history, a list of novels in the order of their publication; and the attention,
the likeness in colour of a photograph's patches. With `--audio=FILE.wav` the spectrogram is that of
a recording of your own. A new rule appears by being registered.
"""

from maskjax import signals

signals.leave_when_told()  # the other imports take seconds

import os

from absl import flags

from maskjax.evaluation import figures
from maskjax.evaluation.sheets import catalogue
from maskjax.paths import local_path
from maskjax.terminal import say
from maskjax.tools import startup

_OUT = flags.DEFINE_string("out", None, "Folder for the pictures.", required=True)
_AUDIO = flags.DEFINE_string("audio", None, "WAV file to show; a generated sound otherwise.")
_SHEETS = flags.DEFINE_list("sheets", [], f"Of {', '.join(catalogue.SHEETS)}; all by default.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the masks.", lower_bound=0)


def main() -> None:
    """Draw each sheet and say where it is."""
    # Beside a training run on the same GPU, take only the memory that is needed.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    startup.prepare()
    out = local_path(_OUT.value, "--out")
    out.mkdir(parents=True, exist_ok=True)  # Whether it can be, shows before drawing.
    recording = local_path(_AUDIO.value, "--audio") if _AUDIO.value else None
    drawn = catalogue.sheets(_SHEETS.value, seed=_SEED.value, recording=recording)
    for name, figure in drawn:
        path = out / f"{name}.png"
        figures.save_figure(figure, path)
        say(str(path))


if __name__ == "__main__":
    startup.run(main)
