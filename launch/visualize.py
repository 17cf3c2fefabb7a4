"""Draw a run: `python launch/visualize.py --workdir=runs/mae-default`.

Writes the pictures of the newest checkpoint into the run's `figures/`, whether it is finished or
still running. With `--images` instead what it makes of images of your own, 16 to a picture; the
data that the run was trained on are not needed for these.
"""

from maskjax import signals

signals.leave_when_told()  # the other imports take seconds

import os
from pathlib import Path

from absl import flags

from maskjax.paths import local_path
from maskjax.terminal import say
from maskjax.tools import startup, visualize

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_IMAGES = flags.DEFINE_multi_string(
    "images", [], "Image files of your own, or folders of them, with commas between; a path that "
    "has a comma in it stands alone, and the flag may be repeated.",
)  # fmt: skip
_DATA = flags.DEFINE_string("data", "", "Where the run's data are now, such as folder:DIR.")
_OUT = flags.DEFINE_string("out", "", "Folder for the pictures; the run's figures/ by default.")
_LIMIT = flags.DEFINE_integer("limit", 256, "Draw at most so many images.", lower_bound=1)


def main() -> None:
    """Draw, then say where."""
    # Beside a training run on the same GPU, take only the memory that is needed.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    startup.prepare()
    workdir = local_path(_WORKDIR.value, "--workdir")
    out = local_path(_OUT.value, "--out") if _OUT.value else None
    places = {"source": _DATA.value, "out": out}
    if _IMAGES.value:
        images = [path for value in _IMAGES.value for path in _paths(value)]
        paths = visualize.draw_images(workdir, images, limit=_LIMIT.value, **places)
    else:
        paths = visualize.draw_run(workdir, **places)
    for path in paths:
        say(str(path))


def _paths(value: str) -> list[Path]:
    """A path that exists, or those between the commas."""
    is_one = os.path.exists(os.path.expanduser(value))
    words = [value] if is_one else [word.strip() for word in value.split(",")]
    return [local_path(word, "--images") for word in words if word]


if __name__ == "__main__":
    startup.run(main)
