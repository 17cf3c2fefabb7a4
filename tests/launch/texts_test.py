"""Classes and labels of texts: smoke runs through real tokenizers, and what is made of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from maskjax import workdir
from maskjax.data.text import docstrings, names
from maskjax.tools.answers import open_answers
from maskjax.tools.export import export
from maskjax.tools.exported import Exported
from maskjax.tools.predict import JSON, predict
from maskjax.tools.serving.parsing import parse
from maskjax.tools.serving.refused import Refused
from maskjax.tools.serving.settings import Settings
from maskjax.training import parallel
from maskjax.training.loop import train

SMALL = {"model.width": 16, "model.depth": 1, "model.heads": 2, "figures.num_examples": 0}
HIDE = {"mask.rule": "whole_word", "mask.ratio": 0.3}
CONFIGS = {
    "text_classify": SMALL | HIDE | {"data.tokenizer": "wordpiece:300"},
    "token_labels": SMALL
    | HIDE
    | {"mask.fill": "drop", "model.form": "modernbert", "figures.num_examples": 2},
}


@pytest.fixture(scope="module")
def runs(load_config, tmp_path_factory):
    """{name: (config, folder, summary)} of a smoke run each, on few modules."""
    folder, found = tmp_path_factory.mktemp("texts"), {}
    with pytest.MonkeyPatch.context() as patch:
        modules = [path for path in names.modules() if path.stem in ("bisect", "heapq", "bdb")]
        patch.setattr(names, "modules", lambda: modules)
        patch.setattr(docstrings, "MODULES", {"bdb": "bdb.py", "heapq": "heapq.py"})
        for each in (names, docstrings):
            each._texts.cache_clear()
        file, found_there = folder / "texts.jsonl", docstrings.docstrings().read()
        lines = (json.dumps({"text": each.text, "label": each.label}) for each in found_there)
        file.write_text("\n".join(lines))
        labelled = {"data.source": f"jsonl:{file}", "data.label_column": "label"}
        for name, changes in CONFIGS.items():
            own = {"data.index": str(folder / "index"), "data.limit": 0}
            own |= labelled if name == "text_classify" else {}
            config = load_config(name, "smoke", **(changes | own))
            found[name] = (config, folder / name, train(config, folder / name))
        yield found
    for each in (names, docstrings):
        each._texts.cache_clear()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_smoke_run_trains_and_is_judged(runs, name):
    config, folder, summary = runs[name]
    assert summary["steps"] == config.total_steps
    assert np.isfinite(summary["validation_loss"])
    if name == "text_classify":
        judged = {"accuracy", "f1_macro", "bag_of_words_accuracy", "test_accuracy", "per_class"}
    else:
        judged = {"accuracy", "f1", "precision", "f1_macro", "test_recall", "per_type"}
        assert "figures/labelled.png" in summary["figures"]
        assert (folder / "figures" / "labelled.png").is_file()
        assert {"argument", "function"} <= {*summary["per_type"]}
    assert judged <= {*summary}


def test_it_resumes_in_the_middle_of_an_epoch(runs, tmp_path):
    config, folder, summary = runs["text_classify"]
    resumed = shutil.copytree(folder, tmp_path / "resumed")
    (resumed / workdir.SUMMARY).unlink()
    shutil.rmtree(resumed / workdir.CHECKPOINTS / str(config.total_steps))
    assert train(config, resumed)["params_sha256"] == summary["params_sha256"]


def test_texts_of_ones_own_are_classified(runs, tmp_path):
    _, folder, _ = runs["text_classify"]
    answers, text = open_answers(folder, None), "Push item onto heap"
    (line,) = predict(answers, [text], what="classes")
    (said,) = predict(answers, [text], what="classes", output=JSON)
    record = json.loads(said)
    assert record["input"] == text
    assert {*record["probabilities"]} == {"bdb", "heapq"}
    assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert line.startswith(f"{text}: {record['class']} ")
    (tmp_path / "texts.txt").write_text(f"{text}\n\nanother text\n")
    path = tmp_path / "classes.csv"
    list(predict(answers, [str(tmp_path / "texts.txt")], what="classes", output=path))
    header, *rows = path.read_text().splitlines()
    assert header == "input,class,bdb,heapq"
    assert rows[0].startswith(f"line 1,{record['class']},")
    assert rows[1].startswith("line 3,")
    (numbers,) = predict(answers, [text], what="features", output=JSON)
    assert len(json.loads(numbers)["features"]) == 16


def test_texts_are_served_as_they_are_predicted(runs, tmp_path):
    _, folder, _ = runs["text_classify"]
    texts = ["Push item onto heap", "a breakpoint " * 200, __file__]  # too long; never opened
    export(folder, tmp_path / "out", format="stablehlo")
    model, settings = Exported(tmp_path / "out"), Settings("out")

    def asked(*inputs):
        body = json.dumps({"inputs": inputs}).encode()
        return parse(body, "application/json", {}, model.processor, settings).examples

    examples = asked(*texts)
    answers = open_answers(folder, None)
    (said,) = predict(answers, texts[:1], what="classes", output=JSON)
    rows = model("classes", model.raw(examples))
    np.testing.assert_allclose(rows[0], [*json.loads(said)["probabilities"].values()], atol=1e-5)
    assert rows.shape == (3, 2)
    for text, message in (("", "input 1 is '': give a text"), ("\ud800", r"input 1 has '\ud800'")):
        with pytest.raises(Refused) as refused:
            asked("a text", text)
        assert message in refused.value.message


def test_words_of_ones_own_are_labelled(runs):
    _, folder, _ = runs["token_labels"]
    answers, text = open_answers(folder, None), "def f ( x ) :"
    (said,) = predict(answers, [text], what="labels", output=JSON)
    record = json.loads(said)
    assert [word["word"] for word in record["words"]] == text.split()
    assert {word["label"] for word in record["words"]} <= {*answers.processor.tag_names}
    (line,) = predict(answers, [text])
    assert line.startswith(f"{text}: def")


@pytest.mark.parametrize("name", CONFIGS)
def test_they_are_exported_with_their_tokenizers(runs, tmp_path, name):
    _, folder, _ = runs[name]
    kind = {"text_classify": "BertForSequence", "token_labels": "ModernBertForToken"}[name]
    (line, *_) = export(folder, tmp_path / "out", format="hf")
    assert f"transformers.{kind}Classification.from_pretrained" in line
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    processor = open_answers(folder, None).processor
    known = processor.tag_names or ("bdb", "heapq")
    assert config["id2label"] == {str(i): name for i, name in enumerate(known)}
    text = "Push an item, \u00e9."
    ids = processor.from_text(text, "the text")["tokens"]
    made = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    assert made.encode(text).ids == ids[: len(made.encode(text).ids)].tolist()
    assert Path(tmp_path / "out" / "tokenizer_config.json").is_file()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("mlm", {"data.layout": "padded"}),
        ("text_classify", {"model.form": "modernbert", "data.label_column": "label"}),
    ],
)
def test_lengths_in_buckets_compile_a_step_each_and_resume(
    name, changes, load_config, tmp_path, monkeypatch
):
    compiled = []  # widths of the rows that a program of several shapes was compiled for

    class Program(parallel.Program):
        def compile_for(self, state, rows):
            before = len(self._compiled)
            made = super().compile_for(state, rows)
            if self._num_shapes > 1 and len(self._compiled) > before:
                compiled.append(rows["tokens"].shape[-1])
            return made

    monkeypatch.setattr(parallel, "Program", Program)
    lengths = [5 + 37 * i % 25 for i in range(96)]  # of a text, in bytes
    path = tmp_path / "texts.jsonl"
    rows = [{"text": "ab" * (n // 2) + "c", "label": "xy"[n % 2]} for n in lengths]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = load_config(
        name,
        "smoke",
        **(SMALL | {"model.depth": 2, "model.window": 4, "model.global_every": 2}),
        **{"data.source": f"jsonl:{path}", "data.tokenizer": "", "eval.batch_size": 8},
        **{"data.index": str(tmp_path / "index"), "data.limit": 0, "data.buckets": (16,)},
        **(changes | (HIDE if name == "text_classify" else {})),
        batch_size=8,
    )
    summary = train(config, tmp_path / "run")
    assert sorted(compiled) == [16, 32]  # six steps, of which each width has some
    (tmp_path / "run" / workdir.SUMMARY).unlink()
    shutil.rmtree(tmp_path / "run" / workdir.CHECKPOINTS / str(config.total_steps))
    assert train(config, tmp_path / "run")["params_sha256"] == summary["params_sha256"]
