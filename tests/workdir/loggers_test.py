"""Numbers on disk and on the terminal."""

import errno
import io
import json
import os
import types

import pytest
from matplotlib.figure import Figure
from tensorboardX import record_writer

from maskjax.workdir import loggers
from maskjax.workdir.folder import METRICS

NUMBERS = {"loss": 0.5, "examples_per_second": 1234.0, "step_seconds": 2.0}


def _log(folder, start, steps, total=10):
    with loggers.RunLog(folder, start, total) as log:
        for step in steps:
            log.write(step, "train", {"loss": 1 / step})
        return log


def test_lines_beyond_the_resumed_step_are_dropped_and_written_again(tmp_path):
    _log(tmp_path, 0, [1, 2, 3, 4])
    with (tmp_path / METRICS).open("a") as file:
        file.write('{"step": 5, "spl')  # cut short by a kill
    log = _log(tmp_path, 2, [3, 4, 5])
    lines = loggers.read_metrics(tmp_path)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert len((tmp_path / METRICS).read_text().splitlines()) == 5
    assert log.last["train"]["step"] == 5


def test_last_lines_are_known_after_a_resumption_without_new_ones(tmp_path):
    with loggers.RunLog(tmp_path, 0, 10) as log:
        log.write(1, "train", {"loss": 2.0})
        log.write(1, "validation", {"loss": 3.0})
    last = _log(tmp_path, 1, []).last
    assert last["train"]["loss"] == 2.0
    assert last["validation"]["loss"] == 3.0


def test_seconds_go_on_over_resumptions(tmp_path):
    line = {"step": 1, "split": "train", "seconds": 100.0}
    (tmp_path / METRICS).write_text(json.dumps(line) + "\n")
    assert 100.0 <= _log(tmp_path, 1, []).seconds < 200.0


def test_a_number_that_is_not_finite_is_null_so_that_every_line_is_json(tmp_path):
    with loggers.RunLog(tmp_path, 0, 10) as log:
        log.write(1, "train", {"loss": float("nan"), "mfu": None, "count": 3, "up": float("inf")})
    text = (tmp_path / METRICS).read_text()
    line = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (line["loss"], line["mfu"], line["count"], line["up"]) == (None, None, 3, None)


def test_tensorboard_events_lie_beside_them(tmp_path):
    with loggers.RunLog(tmp_path, 0, 10) as log:
        log.write(1, "train", {"loss": 0.5})
        log.write_figures(1, {"panel": Figure(figsize=(1, 1), dpi=20)})
        (events,) = tmp_path.glob("events.out.tfevents.*")
        content = events.read_bytes()
    assert b"train/loss" in content
    assert b"figures/panel" in content
    assert b"PNG" in content


def test_a_full_disk_is_an_error_at_once_and_not_a_wait_for_ever(tmp_path, monkeypatch):
    def flush():
        if disk.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    disk = types.SimpleNamespace(is_full=False, write=len, flush=flush)
    monkeypatch.setattr(record_writer, "open_file", lambda path: disk)
    log = loggers.RunLog(tmp_path, 0, 10)
    log.write(1, "train", {"loss": 0.5})
    disk.is_full = True
    with pytest.raises(OSError, match="No space left"):
        log.write(2, "train", {"loss": 0.5})


def test_without_a_terminal_progress_is_plain_lines():
    file = io.StringIO()
    progress = loggers.Progress(0, 100, name="mae", file=file)
    progress.update(40)
    progress.update(50, NUMBERS)
    progress.say("a word")
    progress.close()
    line = "mae: step 50/100  loss 0.5000  1234 examples/s  01:40 left\n"
    assert file.getvalue() == line + "a word\n"


def test_only_the_first_of_several_processes_shows_progress(tmp_path, monkeypatch, capsys):
    for index in range(2):
        monkeypatch.setattr(loggers.jax, "process_index", lambda index=index: index)
        with loggers.RunLog(tmp_path, 0, 10) as log:
            log.progress.update(5, NUMBERS)
            log.progress.say(f"from process {index}")
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("step")[0] for line in lines[:-1]] == [f"{tmp_path.name}: "]
    assert lines[-1] == "from process 0"


def test_on_a_terminal_progress_is_a_bar():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    file = Terminal()
    progress = loggers.Progress(20, 100, name="mae", file=file)
    progress.update(50, NUMBERS)
    progress.close()
    shown = file.getvalue().split("\r")[-1]
    assert "50/100" in shown
    assert "loss 0.5000  1234 examples/s" in shown
