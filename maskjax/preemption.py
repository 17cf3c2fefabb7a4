"""Being told to stop: finish what is under way, save, and leave with a code that says so."""

import contextlib
import multiprocessing
import os
import signal
import threading
from types import FrameType

import jax
from orbax.checkpoint import multihost

from maskjax.signals import EXIT_CODE

# So long a process that was told to stop may take to end after everything is saved.
_LEAVE_SECONDS = 10.0


class Preempted(Exception):
    """Raised once the state of a run that was told to stop is on disk.

    Attributes:
        step: the step that was saved.
    """

    def __init__(self, step: int):
        """Name the step that was saved."""
        super().__init__(f"stopped at step {step}, which is saved: the same command resumes it")
        self.step = step


def leave_soon() -> None:
    """See to it that this process ends, though a stuck loader keeps Python from ending by itself.

    Python waits for threads and workers that never finish, such as ones that read from a file
    server that is gone.
    """

    def leave() -> None:
        for worker in multiprocessing.active_children():
            worker.kill()
        os._exit(EXIT_CODE)

    timer = threading.Timer(_LEAVE_SECONDS, leave)
    timer.daemon = True
    timer.start()


class StopSignal(contextlib.AbstractContextManager):
    """Notices SIGTERM and the first Ctrl-C; a second Ctrl-C interrupts at once.

    Under `jax.distributed` the coordination service catches SIGTERM, which a Ctrl-C is passed on
    as, and all processes agree on where to stop.

    Attributes:
        received: whether this process alone was told to stop; under `jax.distributed` never.
    """

    def __init__(self) -> None:
        """Prepare; nothing is caught before the context is entered."""
        self.received = False
        self._asked = 0
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopSignal":
        """Catch signals, where this is the main thread, the only one that may."""
        is_main = threading.current_thread() is threading.main_thread()
        if is_main:
            caught = {signal.SIGINT}
            if not jax.distributed.is_initialized():
                caught.add(signal.SIGTERM)
            for which in caught:
                self._previous[which] = signal.signal(which, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        """Put the earlier handlers back."""
        for which, handler in self._previous.items():
            signal.signal(which, handler)  # type: ignore[arg-type]

    def _receive(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if jax.distributed.is_initialized():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            self.received = True
        with contextlib.suppress(OSError):  # `tee` may have gone by the same signal
            os.write(2, b"\ntold to stop: finishing this step and saving\n")

    def reached(self) -> bool:
        """Whether to stop here; every process has to ask equally often."""
        if jax.distributed.is_initialized():
            self._asked += 1  # the processes agree on the number of a question
            return multihost.reached_preemption(self._asked)
        return self.received
