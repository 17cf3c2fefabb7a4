"""Leaving; how a run stops is tested in loop_test.py and hooks_test.py."""

import subprocess
import sys

import pytest

from maskjax import preemption

STUCK = """
import multiprocessing, threading
from maskjax import preemption

def wait():
    threading.Event().wait()

multiprocessing.get_context("fork").Process(target=wait).start()
threading.Thread(target=wait).start()
preemption._LEAVE_SECONDS = 0.5
preemption.leave_soon()
"""


def test_a_process_leaves_though_a_thread_and_a_worker_are_stuck():
    # Its output ends with the last process that holds it, so the worker must be gone too.
    done = subprocess.run(
        [sys.executable, "-c", STUCK], timeout=60, capture_output=True, text=True, check=False
    )
    assert done.returncode == preemption.EXIT_CODE, done.stderr


UNHEARD = """
import os, signal, sys
from maskjax.tools import startup
from maskjax import preemption
from maskjax.workdir import loggers

def main():
    progress = loggers.Progress(0, 10, name="run")
    with preemption.StopSignal() as stop:
        progress.say("before")
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        progress.say("after")
        if stop.received:
            raise preemption.Preempted(3)

read, write = os.pipe()
os.close(read)
for stream in (1, 2):
    os.dup2(write, stream)
startup.guard(main)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stop_is_noticed_though_nobody_reads_what_is_said(name):
    # As under `2>&1 | tee log`, where Ctrl-C ends tee too.
    done = subprocess.run([sys.executable, "-c", UNHEARD, name], timeout=60, check=False)
    assert done.returncode == preemption.EXIT_CODE
