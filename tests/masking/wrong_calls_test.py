"""Wrong calls, as newcomers make them: each is refused in one line that says what to give."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking
from maskjax.masking import adaptive, frequency, heads, parameters, sequences, text

pytestmark = pytest.mark.usefixtures("unchecked")

KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 2)
RANDOM = masking.make_rule("random")
TOKENS = np.array([[5, 6, 7, 8], [1, 2, 3, 4]], np.int32)
FLAGS = np.array([[True, False, True, False]] * 2)
WORDS = [[0, 0, 1, 1], [0, 1, 1, 2]]
X = np.ones((2, 4, 3), np.float32)
SCORES = np.array([[0.3, 0.9, 0.1, 0.7], [0.8, 0.2, 0.4, 0.6]], np.float32)
TREE = {"a": {"kernel": np.ones((4, 2), np.float32), "bias": np.zeros(2, np.float32)}}
ELIGIBLE = {"a": {"kernel": True, "bias": False}}
SHARES = {"a": {"kernel": 0.5, "bias": None}}
RUNNING = adaptive.running.init(9)


def _draw(rule=RANDOM, keys=KEYS, grid=(4,), num_masked=2, **runtime):
    return masking.draw(rule, keys, grid, num_masked, **runtime)


def _cloze(**options):
    return sequences.cloze(KEY, (4,), 1, **options)


def _corrupt(tokens=TOKENS, is_masked=FLAGS, keys=KEYS, **options):
    options = {"mask_token_id": 3, "vocab_size": 9, **options}
    return text.corrupt_tokens(tokens, is_masked, keys, **options)


def _first(is_masked):
    return is_masked[:, 0] * 1.0


REFUSED = {
    "keys": [
        (lambda: _draw(keys=KEY), r"^one key .* jax.random.split\(key, batch_size\)"),
        (lambda: _draw(keys=jax.random.PRNGKey(0)), r"^keys are uint32\[2\].*wrap_key_data"),
        (lambda: _draw(keys=0), "^keys are 0: give typed ones"),
        (lambda: masking.block(KEYS, (14, 14), 75), r"^key is 2 keys .* masking\.draw"),
        (lambda: masking.block(0, (14, 14), 75), r"^key is 0: .* jax\.random\.key\(seed\)"),
        (lambda: masking.example_keys(0, 0, [0]), "^key is 0: give a typed key"),
        (lambda: masking.example_keys(KEY, 0, 2), r"^index of shape \(\).*jax\.numpy\.arange"),
        (lambda: masking.example_keys(KEY, 0.5, [0]), "^step holds float32: give whole numbers"),
        (lambda: masking.context_and_targets(KEYS, (14, 14)), r"^key is 2 keys .* jax\.vmap"),
        (lambda: masking.fill_noise(X, FLAGS, KEY), "^one key for 2 examples"),
        (lambda: _corrupt(keys=KEYS[:1]), "^1 keys for 2 examples"),
        (
            lambda: sequences.cloze_examples(TOKENS, FLAGS, KEY, mask_token_id=9),
            "^one key for 2 examples",
        ),
        (
            lambda: adaptive.best_of(RANDOM, KEY, (4,), 2, _first, num_candidates=2),
            "^one key for the examples",
        ),
        (lambda: adaptive.labels.init(0, 3), "^key is 0: give a typed key"),
        (lambda: parameters.score_leaves(RANDOM, 0, TREE, SHARES), "^key is 0: give a typed"),
    ],
    "rules": [
        (lambda: _draw("random"), r"^rule 'random' is the name of one: give make_rule\('random'\)"),
        (lambda: _draw("radnom"), "^unknown masking rule 'radnom'.*did you mean 'random'"),
        (lambda: _draw(masking.RULES["random"]), r"^rule of type RegisteredRule: .*make_rule"),
        (lambda: _draw(None), r"^rule of type NoneType: give make_rule\(name\)"),
        (lambda: masking.chooses("block"), r"give make_rule\('block'\)"),
        (lambda: masking.needs_step("sliding"), r"give make_rule\('sliding'\)"),
        (lambda: masking.make_rule(masking.block), "^masking rule of type function: give its name"),
        (lambda: masking.register("mine", on="text")(RANDOM), "^masking rule 'mine' is on 'text'"),
        (lambda: masking.register(RANDOM), r"is no name of a rule: write @register\('name'\)"),
        (lambda: _draw(lambda key, grid, count: jnp.zeros(5)), r"^rule <lambda> gives .* \(5,\)"),
        (lambda: parameters.score_leaves("random", KEY, TREE, SHARES), r"make_rule\('random'\)"),
    ],
    "grids": [
        (lambda: _draw(grid=16), r"^grid 16 is one number: give .* \(16,\) for one axis"),
        (lambda: _draw(grid=(4.0, 4.0)), r"^grid \(4\.0, 4\.0\): give whole numbers"),
        (lambda: _draw(grid="4x4"), "^grid 4x4: give whole numbers"),
        (lambda: masking.grid_length(16), "^grid 16 is one number"),
        (lambda: masking.block(KEY, 14, 75), "^grid 14 is one number"),
        (lambda: masking.context_and_targets(KEY, 14), "^grid 14 is one number"),
        (lambda: jax.eval_shape(lambda n: _draw(grid=(n,)), 4), "known before jit"),
    ],
    "counts": [
        (lambda: _draw(num_masked=2.0), r"^num_masked 2\.0 is no count: give a whole number"),
        (lambda: _draw(num_masked=True), "^num_masked True is no count"),
        (lambda: _draw(num_masked=[2, 1]), r"shape \(2,\): give one int.*draw_counts"),
        (lambda: jax.eval_shape(lambda n: _draw(num_masked=n), 2), "^num_masked is traced: .*int"),
        (
            lambda: jax.eval_shape(lambda n: masking.cut_slots(SCORES, 2, n), 1),
            "^min_num_masked is traced: give an int that is known before jit",
        ),
        (lambda: masking.cut_counts(SCORES, [1, 2, 3]), r"\(3,\) for scores of shape \(2, 4\)"),
        (lambda: masking.cloze(KEY, (4,), [1, 2]), r"shape \(2,\): a rule scores one"),
        (lambda: heads.cut_heads(SCORES, [1, 1]), r"^num_masked of shape \(2,\): give one count"),
        (lambda: masking.num_masked_from_ratio((14, 14), 0.75), r"grid_length\(grid\)"),
        (lambda: masking.num_masked_from_ratio(196, "75%"), "^mask ratio 75% must lie"),
        (
            lambda: jax.eval_shape(lambda r: masking.num_masked_from_ratio(196, r), 0.75),
            "^mask ratio is traced: .* num_masked_from_traced_ratio",
        ),
        (lambda: masking.num_masked_from_traced_ratio(196, [147]), "^ratio holds int32: .* floats"),
        (
            lambda: masking.num_masked_from_lengths([3.0], 0.15, max_length=8),
            "^lengths holds float32: give whole numbers",
        ),
        (
            lambda: parameters.num_masked_from_sparsity(100, jnp.array(50)),
            "^sparsity holds int32: give a share",
        ),
        (
            lambda: parameters.num_masked_from_sparsity((10, 10), 0.9),
            r"^size \(10, 10\): give an int",
        ),
    ],
    "positions and fillings": [
        (lambda: masking.keep(X, masking.cut(SCORES, 2)), "^ids_keep is a Masking: give one of"),
        (lambda: masking.keep(X, FLAGS), "^ids_keep holds bool: give whole numbers"),
        (lambda: masking.keep(X, [0, 1]), r"^ids_keep of shape \(2,\) .* of one example"),
        (lambda: masking.restore(X, None, [[0, 1, 2, 3]] * 2), "^fill is None: give an array"),
        (
            lambda: masking.restore(X[:, :2], np.ones(5), [[0, 1, 2, 3]] * 2),
            r"^fill of shape \(5,\) does not broadcast to \(2, 2, 3\)",
        ),
        (lambda: masking.fill_token(X, FLAGS.astype(int), 0), r"^is_masked holds int.* == 1"),
        (lambda: masking.fill_token(X, FLAGS, "[MASK]"), r"^token is '\[MASK\]': give an array"),
        (lambda: masking.fill_token(X, FLAGS, np.ones(4)), r"^token of shape \(4,\) does not"),
        (lambda: masking.fill_token(X[0, 0], FLAGS, 0), r"^x of shape \(3,\): give a batch"),
        (lambda: masking.fill_noise(TOKENS, FLAGS, KEYS), r"^x holds int32: .*x\.astype"),
        (lambda: masking.fill_gate(TOKENS, SCORES), r"^x holds int32: .*x\.astype"),
        (lambda: masking.fill_gate(X, FLAGS), r"^gate holds bool: .*gate\.astype"),
        (lambda: masking.fill_gate(X, 1.5 * SCORES), "^gate holds 1.3.*: give numbers from 0"),
        (lambda: masking.fill_gate(X, SCORES - 0.5), "^gate holds -0.4.*: give numbers from 0"),
        (lambda: masking.fill_gate(X, SCORES[:, :2]), r"^gate of shape \(2, 2\) .* \(2, 4\)"),
    ],
    "runtime arguments": [
        (
            lambda: _draw(masking.make_rule("whole_word"), word_ids=WORDS[0]),
            "^word_ids has 4 rows for 2 examples",
        ),
        (
            lambda: _draw(masking.make_rule("whole_word"), word_ids=[[0, 1], [0]]),
            "^word_ids of type list makes no array: .* rows of one length",
        ),
        (
            lambda: _draw(masking.make_rule("whole_word"), word_ids=[["a"] * 4] * 2),
            "^word_ids of type list makes no array: give numbers",
        ),
        (
            lambda: masking.whole_word(KEY, (4,), 2, word_ids=[0.0, 0.0, 1.0, 1.0]),
            "^word_ids holds float32: give whole numbers",
        ),
        (lambda: _draw(is_candidate=FLAGS.astype(int)), "^is_candidate holds int.* == 1"),
        (lambda: _cloze(is_candidate=[1, 0, 1, 1]), r"give numpy\.array\(is_candidate\) == 1"),
        (
            lambda: masking.hierarchical(KEY, (2, 2), 2, is_candidate=np.ones((2, 2), bool)),
            r"^is_candidate of shape \(2, 2\) for 4 positions .* raster order",
        ),
        (
            lambda: masking.hard_patches(KEY, (2, 2), 2, losses=np.ones((2, 2))),
            r"^losses of shape \(2, 2\) for 4 positions .* raster order",
        ),
        (
            lambda: masking.weighted(KEY, (4,), 2, log_weights=0.0),
            r"^log_weights of shape \(\) for 4 positions",
        ),
        (lambda: masking.sliding(KEY, (4,), 2, step=1.5), "^step holds float32"),
    ],
    "options": [
        (lambda: _cloze(probability="high"), "^probability is 'high': give one number"),
        (lambda: masking.grid(KEY, (4, 4), 2, stride=2.5), r"^stride 2\.5 for grid \(4, 4\)"),
        (lambda: masking.sliding(KEY, (4,), 2, stride=1.5), r"^stride 1\.5: give an int"),
        (lambda: masking.block(KEY, (4, 4), 2, min_area="16"), "^min_area is '16': give one"),
        (
            lambda: masking.multi_block(KEY, (4, 4), 2, target_scale=0.2),
            r"^target_scale 0\.2: give a range, two numbers",
        ),
        (lambda: masking.spans(KEY, (4,), 2, max_span_length=2.5), r"2\.5: give an int"),
        (lambda: _corrupt(mask_token_id="[MASK]"), r"^mask_token_id '\[MASK\]': give an int"),
        (lambda: _corrupt(split=0.8), r"^split 0\.8 must be 3 shares"),
        (lambda: _corrupt(excluded_ids=0), r"^excluded_ids 0: give a tuple of ids, \(0,\)"),
        (lambda: _corrupt(TOKENS[0], FLAGS[0]), r"^tokens of shape \(4,\): give a batch"),
        (
            lambda: frequency.apply_frequency(np.ones((4, 4), np.float32), np.ones((4, 4), bool)),
            r"^x of shape \(4, 4\) .* an axis of channels",
        ),
        (lambda: sequences.append_mask_item(TOKENS, FLAGS[:, :2], mask_token_id=9), "^is_valid of"),
        (lambda: heads.scale_heads(X[None], np.ones(1)), "^head_weights of shape .* per head"),
    ],
    "states": [
        (lambda: adaptive.running.init((14, 14)), r"^num_entries \(14, 14\): give an int"),
        (lambda: adaptive.running.log_weights(np.ones(4)), "^state of type ndarray: .*`init`"),
        (
            lambda: adaptive.running.apply(RUNNING, np.ones(9)),
            "^statistics of type ndarray: give LossStatistics",
        ),
        (
            lambda: adaptive.running.statistics(SCORES, masking.cut(SCORES, 1)),
            "^is_masked is a Masking: give one of",
        ),
        (lambda: adaptive.running.log_weights(RUNNING, [0.5]), "^ids holds float32"),
        (lambda: adaptive.amlm.init(9, rate="x"), "^mask rate is 'x': give one number"),
        (
            lambda: adaptive.best_of(RANDOM, KEYS, (4,), 2, 3, num_candidates=2),
            "^metric 3: give a function",
        ),
    ],
    "trees": [
        (lambda: parameters.cut_leaves(TREE, 0.5), r"^sparsities is no tree .* uniform\(params"),
        (lambda: parameters.score_leaves(RANDOM, KEY, TREE, 0.5), r"uniform\(params"),
        (lambda: parameters.uniform(TREE, True, sparsity=0.5), r"^is_eligible is no .*eligible\("),
        (lambda: parameters.erk(TREE, {"a": True}, sparsity=0.5), "^is_eligible is no tree"),
        (lambda: parameters.apply(TREE, {"a": True}), r"^param_masks is no tree .*cut_leaves\("),
        (lambda: parameters.apply([X], [X * 0.5]), "^param_masks 0 holds numbers other"),
        (lambda: parameters.sparsity(SHARES), "^param_masks a/kernel holds numbers other than"),
        (lambda: parameters.cut_n_of_m(TREE, "2:4", 4), "^num_kept '2:4': give an int"),
        (lambda: parameters.eligible(TREE, exclude=None), r"give regular expressions, or \(\)"),
        (lambda: parameters.eligible(TREE, exclude=("*a",)), "nothing to repeat.*regular"),
        (
            lambda: parameters.cubic(5, sparsity=50, start_step=0, end_step=10),
            "^sparsity 50 must be at least 0 and below 1",
        ),
        (lambda: parameters.accumulate_movement(0, TREE, TREE), "^params is a dict: give an array"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_told_in_one_line_what_is_wanted(kind):
    for call, message in REFUSED[kind]:
        with pytest.raises(ValueError, match=message) as refused:
            call()
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", masking.RULES)
def test_every_rule_refuses_a_ratio_a_grid_of_one_number_and_keys_of_a_batch(name):
    rule = masking.RULES[name].score
    with pytest.raises(ValueError, match=r"^num_masked 0\.75 is .*from_ratio\(196, 0\.75\)"):
        rule(KEY, (14, 14), 0.75)
    with pytest.raises(ValueError, match=r"^num_masked holds float32: .*from_traced_ratio"):
        jax.eval_shape(lambda ratio: rule(KEY, (14, 14), ratio), 0.75)
    with pytest.raises(ValueError, match=r"^grid 14 is one number"):
        rule(KEY, 14, 7)
    with pytest.raises(ValueError, match=r"^key is 2 keys"):
        rule(KEYS, (14, 14), 7)


LAST = masking.make_rule("mask_last")
TAKE_COUNTS = {
    "draw": lambda count: _draw(num_masked=count).is_masked,
    "draw_counts": lambda count: masking.draw_counts(RANDOM, KEYS, (4,), count),
    "draw_chosen": lambda count: masking.draw_chosen(LAST, KEYS, (4,), count),
    "draw_slots": lambda count: masking.draw_slots(RANDOM, KEYS, (4,), count, 1)[0].is_masked,
    "min_num_masked": lambda count: masking.draw_slots(RANDOM, KEYS, (4,), 2, count)[0].is_masked,
    "cut": lambda count: masking.cut(SCORES, count).is_masked,
    "cut_counts": lambda count: masking.cut_counts(SCORES, count),
    "cut_heads": lambda count: ~heads.cut_heads(SCORES[:, :2], count),
    "best_of": lambda count: masking.cut(
        adaptive.best_of(RANDOM, KEYS, (4,), count, _first, num_candidates=1).scores, 2
    ).is_masked,
}  # fmt: skip


@pytest.mark.parametrize("name", TAKE_COUNTS)
def test_a_ratio_is_no_count_and_what_the_message_names_makes_one_of_it(name):
    for ratio in (0.5, np.float32(0.5), jnp.float32(0.5)):
        with pytest.raises(ValueError, match=r"num_masked 0\.5 is a ratio: give") as refused:
            TAKE_COUNTS[name](ratio)
    advice = re.search(r"num_masked_from_ratio\(4, 0\.5\)$", str(refused.value))[0]
    count = eval(f"masking.{advice}")
    assert count == 2
    assert TAKE_COUNTS[name](count).sum() == (2 if name == "cut_heads" else 4)


@pytest.mark.parametrize("name", ["draw_counts", "draw_chosen", "draw_slots", "cut_counts"])
def test_ratios_of_rows_are_no_counts_traced_or_not(name):
    ratios = jnp.array([0.5, 0.75])
    for call in (TAKE_COUNTS[name], lambda ratios: jax.eval_shape(TAKE_COUNTS[name], ratios)):
        with pytest.raises(ValueError, match=r"^num_masked holds float32: give counts") as refused:
            call(ratios)
    advice = re.search(r"num_masked_from_traced_ratio\(4, ratio\)$", str(refused.value))[0]
    counts = eval(f"masking.{advice}", {"masking": masking, "ratio": ratios})
    assert TAKE_COUNTS[name](counts).sum(axis=1).tolist() == [2, 3]


def test_legacy_keys_give_the_same_masks_once_they_are_wrapped_as_the_message_says():
    legacy = jax.random.split(jax.random.PRNGKey(0), 2)
    with pytest.raises(ValueError, match=r"jax\.random\.wrap_key_data of legacy ones$"):
        _draw(keys=legacy)
    wrapped = _draw(keys=jax.random.wrap_key_data(legacy))
    assert (wrapped.ids_restore == _draw().ids_restore).all()
