"""Draw a run: `python launch/visualize.py --workdir=runs/mae-default`.

Writes the pictures of the newest checkpoint into the run's `figures/`, whether it is finished or
still running. With `--images` also the reconstructions of images of your own (files or folders).
"""

import os
from pathlib import Path

from absl import flags

from maskjax.training import draw, startup

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_IMAGES = flags.DEFINE_list("images", [], "Image files or folders of your own, comma-separated.")


def main() -> None:
    """Draw, then say where."""
    # Beside a training run on the same GPU, take only the memory that is needed.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    startup.prepare()
    images = [Path(image) for image in _IMAGES.value]
    for path in draw.draw_workdir(Path(_WORKDIR.value), images):
        print(path)


if __name__ == "__main__":
    startup.run(main)
