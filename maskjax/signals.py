"""Being told to stop before anything is under way; imports nothing that takes time."""

import contextlib
import os
import signal
from types import FrameType

# The exit code of a run that was told to stop and can be resumed: sysexits' "try again" (TEMPFAIL).
EXIT_CODE = 75


def leave_when_told() -> None:
    """From now on SIGTERM and Ctrl-C end this process at once, with a line and EXIT_CODE.

    Launchers call this before the imports, which take seconds; what runs long, such as training,
    catches signals itself while it runs.
    """
    for which in (signal.SIGINT, signal.SIGTERM):
        signal.signal(which, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):  # `tee` may have gone by the same signal
        os.write(2, b"\ntold to stop: the same command starts from what is saved\n")
    os._exit(EXIT_CODE)
