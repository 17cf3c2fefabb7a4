"""Leaving; how a run stops is tested in loop_test.py and hooks_test.py."""

import subprocess
import sys

from maskjax.training import preemption

STUCK = """
import multiprocessing, threading
from maskjax.training import preemption

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
