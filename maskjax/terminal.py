"""What is said to whoever watches, and to nobody once they are gone."""

import contextlib
import os
import sys
from typing import Any


def say(text: str, file: Any = None) -> None:
    """Print a line; where its reader is gone, such as `tee` after Ctrl-C, drop it and all later.

    Args:
        text: the line; what the file's encoding lacks is written as codes.
        file: where to; None is standard output.
    """
    file = sys.stdout if file is None else file
    encoding = getattr(file, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(text, file=file, flush=True)
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, file.fileno())  # or Python fails again when it ends
            os.close(nowhere)
