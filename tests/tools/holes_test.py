"""Texts of one's own that are filled, written on and punctuated, by models that know the answer."""

import json
import re
import types

import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from maskjax.data.text import Bytes, TextProcessor
from maskjax.data.text.subwords import Subwords, wordpiece_json
from maskjax.models.text import model_of, named
from maskjax.models.tokens import MaskedTokens
from maskjax.tasks.diffusion_lm import DiffusedText, make_diffusion_masks
from maskjax.tasks.unmask import ONE_BY_ONE
from maskjax.tools import holes
from maskjax.tools.answers import OfRun
from maskjax.tools.predict import JSON, predict
from maskjax.tools.saved import Saved
from maskjax.training.state import TrainState

LENGTH, SHIFT = 24, 5  # tokens of a row, [CLS] and [SEP] among them; id of byte 0
KNOWN = "the cat sat on the mat"


class Knows(MaskedTokens):
    """Knows what stands in each place of one text."""

    def apply(self, variables, ids, segment_ids, places, *given, **options):
        text = jnp.array([0, *[byte + SHIFT for byte in KNOWN.encode()], 0])
        return 50.0 * (text[places][..., None] == jnp.arange(self.num_outputs)[None, None])


class Pauses(MaskedTokens):
    """Knows that a comma follows a t, and an x all else."""

    def apply(self, variables, ids, segment_ids, places, *given, **options):
        before = jnp.take_along_axis(ids, places - 1, axis=1)
        marks = jnp.where(before == ord("t") + SHIFT, ord(","), ord("x")) + SHIFT
        return 50.0 * (marks[..., None] == jnp.arange(self.num_outputs)[None, None])


@pytest.fixture
def answers_of(tmp_path):
    def make(kind):
        mask = {"spread": "even", "eps": 1e-3, "eval_draws": 1}
        config = ConfigDict({"mask": mask, "batch_size": 4, "total_steps": 1})
        data = types.SimpleNamespace(processor=TextProcessor(Bytes(), LENGTH, "padded"))
        encoder = model_of(named("bert", "tiny", Bytes.vocab_size, LENGTH)).encoder
        model = kind(encoder, Bytes.vocab_size)
        task = DiffusedText(model, make_diffusion_masks(config, data))
        config = types.SimpleNamespace(task="diffusion_lm", seed=0, total_steps=1)
        state = TrainState(0, {}, (), None, 0, 0)
        return OfRun(Saved(tmp_path, config, data, task, state))

    return make


def asked(answers, text, what, how="", **options):
    return list(predict(holes.prepare(answers, what, how), [text], what=what, **options))


def test_any_holes_are_filled_and_alternatives_named(answers_of):
    text = "t[MASK]e cat <mask>at"
    (said,) = asked(answers_of(Knows), text, "fill", "top_k=2", output=JSON)
    record = json.loads(said)
    assert record["input"] == text
    assert [hole["position"] for hole in record["holes"]] == [1, 8]
    assert [hole["guesses"][0]["word"] for hole in record["holes"]] == ["h", "s"]
    assert [len(hole["guesses"]) for hole in record["holes"]] == [2, 2]
    assert record["holes"][0]["guesses"][0]["probability"] == pytest.approx(1, abs=1e-6)


def test_a_text_is_written_on_from_its_holes_to_the_end(answers_of, tmp_path):
    answers, path = answers_of(Knows), tmp_path / "texts.csv"
    how = "new_tokens=8, temperature=0.7, steps=3, schedule=cosine"
    (line,) = asked(answers, "the [MASK]at", "generate", how)
    assert line == "the [MASK]at: the cat sat on"
    (said,) = asked(answers, "the", "generate", output=JSON)  # as much as there is room for
    assert json.loads(said) == {"input": "the", "text": KNOWN}
    asked(answers, "the", "generate", "new_tokens=4", output=path)
    assert path.read_text().splitlines() == ["input,text", "the,the cat"]


def test_a_text_gets_its_marks_back_and_keeps_its_own(answers_of):
    answers = answers_of(Pauses)
    (line,) = asked(answers, "cat sat and dog", "punctuate")
    assert line == "cat sat and dog: cat, sat, and dog"
    (said,) = asked(answers, "cat. sat, [MASK] it", "punctuate", output=JSON)
    assert json.loads(said)["text"] == "cat. sat, [MASK] it,"


def test_what_leaves_no_room_is_refused_and_the_advice_helps(answers_of):
    answers = answers_of(Knows)
    with pytest.raises(ValueError, match="the text has 7 tokens, 40 are to be written") as raised:
        asked(answers, "the cat", "generate", "new_tokens=40")
    (how,) = re.findall("--how=([^)]*)", str(raised.value))
    assert asked(answers, "the cat", "generate", how) == [f"the cat: {KNOWN}"]
    with pytest.raises(ValueError, match="the text has 22 tokens, 1 are to be written"):
        asked(answers, KNOWN, "generate")


@pytest.mark.parametrize(
    ("what", "how", "message"),
    [
        ("generate", "new_token=4", "unknown key 'new_token' (did you mean 'new_tokens'?)"),
        ("generate", "new_tokens=0", "new_tokens must be at least 1"),
        ("generate", "steps=2.5", "steps must be a whole number, not '2.5'"),
        ("fill", "order=left", "unknown order 'left'"),
        ("fill", "new_tokens=4", "new_tokens are of --what=generate"),
        ("punctuate", "seed=1", "says nothing to --what=punctuate"),
        ("features", "seed=1", "leave it out with 'features'"),
        ("write", "", "unknown name 'write'; known: features, fill, generate, punctuate"),
    ],
)
def test_ways_that_do_not_fit_are_refused(answers_of, what, how, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        holes.prepare(answers_of(Knows), what, how)


def test_models_of_other_things_are_refused_or_left_alone(answers_of):
    other = answers_of(Knows)
    other.run = other.run._replace(task=object())
    assert holes.prepare(other, "fill", "") is other
    assert holes.prepare(other, "features", "") is other
    with pytest.raises(ValueError, match="--what=generate is for runs that fill holes of texts"):
        holes.prepare(other, "generate", "")


def test_characters_that_a_vocabulary_lacks_are_named():
    vocabulary = {name: i for i, name in enumerate(("[PAD]", "[UNK]", "[MASK]", "a"))}
    tokenizer = Subwords(wordpiece_json(vocabulary))
    processor = holes.Known(tokenizer, LENGTH, "padded")
    with pytest.raises(ValueError, match="the text has 'b' at character 3"):
        processor.from_text("a b", "the text")


def test_pairs_say_how():
    how, number = holes.parse("temperature=0.5,new_tokens=3", ONE_BY_ONE)
    assert (how.temperature, how.order, number) == (0.5, "confidence", 3)
