"""What a user can get wrong at the command line ends in one line and exit code 2."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maskjax.tools import startup

ROOT = Path(__file__).parents[2]
CONFIGS = ", ".join(f"{{}}/{path.name}" for path in sorted((ROOT / "configs").glob("*.py")))
SMOKE, PRUNE = (f"--config={ROOT / 'configs' / name}.py:smoke" for name in ("mae", "prune"))
MASKS = "--config.param_masks."


def refusal(capsys, main):
    """The line on stderr that `main` ends with."""
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == startup.USER_ERROR
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("maee.py", "does not exist (did you mean '{}/mae.py'?); known: {}/bert4rec.py, "),
        ("mae", "did you mean '{}/mae.py'?"),
        ("", f"known: {CONFIGS}"),
        ("mae.py:smok", "unknown variant 'smok' (did you mean 'smoke'?)"),
        ("mae.py:signal_smok", "unknown variant 'signal_smok' (did you mean 'signal_smoke'?)"),
    ],
)
def test_a_near_miss_of_a_config_is_named(capsys, config, words):
    given = ["train.py", f"--config={ROOT / 'configs'}/{config}"]
    line = refusal(capsys, lambda: startup.check_config(given))
    assert words.replace("{}", str(ROOT / "configs")) in line


@pytest.mark.parametrize(
    ("content", "variant", "words"),
    [
        ("def get_config(:", "", "SyntaxError: invalid syntax"),
        ("import not_there", "", "ModuleNotFoundError: No module named 'not_there'"),
        ("x = 1", "", "has no attribute 'get_config'"),
        ("def get_config():\n  return {}['seed']", "", "KeyError: 'seed'"),
        ("def get_config():\n  return {'seed': 1}", "", "returns no ConfigDict but dict"),
        ("def get_config():\n  return 1", ":fast", "takes 0 positional arguments but 1 was given"),
    ],
)
def test_a_config_file_that_cannot_be_loaded_is_one_line(tmp_path, capsys, content, variant, words):
    path = tmp_path / "mine.py"
    path.write_text(content)
    given = ["train.py", f"--config={path}{variant}"]
    line = refusal(capsys, lambda: startup.check_config(given))
    assert str(path) in line
    assert words in line


def test_the_last_of_several_configs_is_checked(capsys):
    given = ["train.py", SMOKE, "--config=absent.py"]
    assert "absent.py does not exist" in refusal(capsys, lambda: startup.check_config(given))


def test_a_workdir_below_a_file_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    line = refusal(capsys, lambda: startup.guard((tmp_path / "file" / "run").mkdir))
    assert line == f"error: {tmp_path}/file/run: Not a directory; " + (
        "a part of this path is a file; give another"
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "run/x: Permission denied; give a path that you may use"),
        (errno.EROFS, "run/x: Read-only file system; give a path that can be written"),
        (errno.ENOSPC, "run/x: No space left on device; free some space"),
        (errno.EMFILE, "run/x: Too many open files; raise the limit with ulimit -n"),
    ],
)
def test_what_the_system_has_against_a_path_is_one_line(capsys, number, words):
    def main():
        raise OSError(number, os.strerror(number), "run/x")

    assert words in refusal(capsys, lambda: startup.guard(main))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device; free some space"),
        (errno.EDQUOT, "Disk quota exceeded; free some space"),
        (errno.EMFILE, "Too many open files; raise the limit with ulimit -n or lower data.num_wo"),
    ],
)
def test_a_checkpoint_that_cannot_be_written_is_no_lack_of_memory(capsys, number, words):
    line = refusal(capsys, lambda: startup.guard(lambda: _fail_to_write(number)))
    assert line.startswith(f"error: run/checkpoints/3/x: {words}")


def test_a_file_system_without_fsync_is_no_place_for_a_run(capsys):
    line = refusal(capsys, lambda: startup.guard(lambda: _fail_to_write(errno.EINVAL, "fsync")))
    assert "Failed to fsync" in line
    assert line.endswith("; use a --workdir elsewhere")


def test_an_unknown_failure_to_write_a_checkpoint_keeps_its_traceback():
    with pytest.raises(ValueError, match="Error writing"):
        startup.guard(lambda: _fail_to_write(errno.EIO))


def test_a_message_on_several_lines_becomes_one_and_its_paths_stay(capsys):
    def fail():
        raise FileNotFoundError("no such file:\n\n  /my  pictures/a\tb.png \n; give another")

    line = refusal(capsys, lambda: startup.guard(fail))
    assert line == "error: no such file: /my  pictures/a\tb.png ; give another"


def _fail_to_write(number, call="write"):
    raise ValueError(
        'RESOURCE_EXHAUSTED: Error writing local file "run/checkpoints/3/x": Failed writing: '
        f"\"y\": Failed to {call} 6909 bytes: {os.strerror(number)} [os_error_code='{number}']"
    )


def test_memory_that_is_too_small_says_what_to_lower(capsys):
    def main():
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes\nmore lines")

    line = refusal(capsys, lambda: startup.guard(main))
    assert "Out of memory allocating 8 bytes); lower batch_size" in line


def test_an_error_that_no_user_can_mend_keeps_its_traceback():
    for error in (OSError(errno.EIO, "Input/output error"), ValueError("a bug"), KeyError("x")):

        def main(error=error):
            raise error

        with pytest.raises(type(error)):
            startup.guard(main)


@pytest.mark.parametrize("word", ["abc", "0", "-4", "", "2.5"])
def test_numbers_of_a_flag_are_whole_and_at_least_1(word):
    with pytest.raises(ValueError, match=f"--batch_sizes: '{word}' must be a whole number"):
        startup.whole_numbers("batch_sizes", ["8", word])
    assert startup.whole_numbers("batch_sizes", ["8", "16"]) == [8, 16]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["benchmark", SMOKE, "--shape=8,8,x"], "--shape: 'x' must be a whole number"),
        (["benchmark", SMOKE, "--batch_sizes=4,3", "--config.optimizer.accumulate_steps=2"],
         "batch_size 3 does not divide"),
        (["train", SMOKE, "--config.total_steps=.75"],
         "--config.total_steps is '.75': it must be a whole number"),
        (["train", SMOKE, "--multihost"], "--multihost: JAX finds no cluster"),
        # None, which takes back what the config sets, is understood: the next key is the wrong one.
        (["train", PRUNE, "--config.param_masks.method=sr_ste", "--config.param_masks.scope=global",
          "--config.param_masks.sparsity=None"], "'2:4' needs param_masks.scope='leaf'"),
        (["train", PRUNE, f"{MASKS}granularity=2:4", f"{MASKS}sparsity=None"],
         "granularity '2:4' needs param_masks.schedule='one_shot'"),
        (["visualize", "--workdir=r", "--images=a.png"], "launch/predict.py --workdir=r --input=a"),
        (["predict", "--workdir=r"], "give --input=..."),
        (["tokenize", "--input=prose", "--output=no/such/x.json"], "no folder no/such; make it"),
        (["tokenize", "--input=prose", "--output=vocab.txt"], "such as tokenizer.json"),
    ],
)  # fmt: skip
def test_launchers_refuse_before_they_compute(command, words):
    name, *flags = command
    environment = {key: value for key, value in os.environ.items() if "SLURM" not in key}
    done = subprocess.run(
        [sys.executable, str(ROOT / "launch" / f"{name}.py"), *flags],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=dict(environment, XLA_FLAGS=os.environ["ONE_DEVICE_XLA_FLAGS"]),
    )
    assert done.returncode == startup.USER_ERROR
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line
