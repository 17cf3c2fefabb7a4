"""launch/tokenize.py, and the standard library's module of the same name beside it."""

import subprocess
import sys
from pathlib import Path

from maskjax.data.text import read_tokenizer

LAUNCH = Path(__file__).parents[2] / "launch"


def test_the_standard_library_keeps_its_module_of_that_name():
    code = (
        f"import sys; sys.path.insert(0, {str(LAUNCH)!r}); import inspect, tokenize; tokenize.open"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_tokenizer_is_trained_and_read(tmp_path):
    (tmp_path / "lines.jsonl").write_text('{"body": "the cat sat"}\n{"body": "on the mat"}\n')
    out = tmp_path / "tokenizer.json"
    arguments = [f"--input=jsonl:{tmp_path}/lines.jsonl", "--text_column=body", "--size=40"]
    command = [sys.executable, LAUNCH / "tokenize.py", *arguments, f"--output={out}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    made = read_tokenizer(str(out))
    assert done.stdout == f"{out}: wordpiece of {made.vocab_size} tokens\n"
    assert made.decode(made.encode(["the cat"])[0].ids.tolist()) == "the cat"
