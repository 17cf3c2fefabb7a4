"""Rules for text against slow loops written from the papers, fed with the same random numbers."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax import masking
from maskjax.masking import text
from maskjax.masking.text import words

L = 16
properties = settings(max_examples=40, deadline=None, derandomize=True)


@functools.cache
def _scoring(name, **options):
    """One compilation a rule: the count, the ids and the candidates are traced."""
    rule = masking.make_rule(name, **options)
    return jax.jit(lambda key, count, runtime: rule(key, (L,), count, **runtime))


_cut_counts = jax.jit(masking.cut_counts)
_permutation = jax.jit(lambda key: jax.random.permutation(key, L))
NUM_DRAWS = 4000


@functools.cache
def _scoring_many(name, **options):
    score = functools.partial(masking.score, masking.make_rule(name, **options))
    return jax.jit(lambda keys, counts, runtime: score(keys, (L,), counts, **runtime))


def _draw_many(name, count, runtime=None, length=L, **options):
    """What the rule chose on texts of the first positions; one compilation a rule."""
    values = {"is_candidate": np.arange(L) < length, **(runtime or {})}
    values = {
        key: jnp.broadcast_to(jnp.pad(jnp.asarray(value), (0, L - len(value))), (NUM_DRAWS, L))
        for key, value in values.items()
    }
    keys = jax.random.split(jax.random.key(1), NUM_DRAWS)
    scores = _scoring_many(name, **options)(keys, jnp.full(NUM_DRAWS, count), values)
    is_masked = np.asarray(masking.cut_chosen(scores))
    assert not is_masked[:, length:].any()
    return is_masked[:, :length]


@st.composite
def texts(draw):
    """Word ids: words of all lengths, special tokens, padding; nothing but padding; length 1."""
    sizes = draw(st.lists(st.integers(1, draw(st.sampled_from([1, 3, L]))), max_size=L))
    ids = []
    for number, size in enumerate(sizes):
        ids += [number] * size + [-1] * draw(st.sampled_from([0, 0, 0, 1]))
    return np.array((ids + [-1] * L)[:L], np.int32)


@st.composite
def cases(draw):
    """Word ids, candidates, a count and a seed."""
    is_candidate = np.ones(L, bool)
    is_candidate[draw(st.lists(st.integers(0, L - 1), max_size=3))] = False
    return draw(texts()), is_candidate, draw(st.integers(0, L)), draw(st.integers(0, 2**20))


def _words(ids):
    """Positions of each run of equal ids, with the runs of -1."""
    runs = [list(run) for _, run in itertools.groupby(range(L), key=lambda i: ids[i])]
    return runs, [run for run in runs if ids[run[0]] >= 0]


def _flags(positions):
    return np.isin(np.arange(L), sorted(positions))


def _runs(is_masked):
    return [list(run) for hidden, run in itertools.groupby(is_masked) if hidden]


@properties
@given(cases())
def test_whole_word_is_the_greedy_choice_of_bert(case):
    word_ids, is_candidate, budget, seed = case
    ids = np.where(is_candidate, word_ids, -1)
    noise = np.asarray(jax.random.uniform(jax.random.key(seed), (L,)))
    hidden = []
    for word in sorted(_words(ids)[1], key=lambda word: -noise[word[0]]):
        if len(hidden) + len(word) <= budget:
            hidden += word
    runtime = {"word_ids": jnp.asarray(word_ids), "is_candidate": jnp.asarray(is_candidate)}
    scores = _scoring("whole_word")(jax.random.key(seed), budget, runtime)
    np.testing.assert_array_equal(masking.cut_chosen(scores), _flags(hidden))
    drawn = np.asarray(_cut_counts(scores, jnp.asarray(budget)))
    # The cut adds what is missing, and no more than one word is split by that.
    assert drawn.sum() == min(budget, (ids >= 0).sum())
    assert drawn[hidden].all()
    split = [word for word in _words(ids)[1] if 0 < drawn[word].sum() < len(word)]
    assert len(split) <= 1


@functools.partial(jax.jit, static_argnames="length")
def _whole_words(key, budget, word_ids, length):
    return masking.whole_word(key, (length,), budget, word_ids=word_ids) >= 1


@given(st.integers(0, 160), st.integers(0, 2**20), st.booleans())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_words_of_every_size_are_taken_as_by_the_loop(budget, seed, backwards):
    """Words of 1, 2, ... 16 tokens and many of one."""
    sizes = [*range(1, 17), *[1] * 24][:: -1 if backwards else 1]
    word_ids = np.repeat(np.arange(len(sizes)), sizes)
    length = word_ids.size
    key = jax.random.key(seed)
    noise = np.asarray(jax.random.uniform(key, (length,)))
    runs = [list(run) for _, run in itertools.groupby(range(length), key=lambda i: word_ids[i])]
    hidden = []
    for word in sorted(runs, key=lambda word: -noise[word[0]]):
        if len(hidden) + len(word) <= budget:
            hidden += word
    taken = _whole_words(key, budget, jnp.asarray(word_ids), length)
    assert np.flatnonzero(taken).tolist() == sorted(hidden)


def test_whole_word_takes_a_round_for_each_power_of_two_and_not_for_each_size():
    """In turn 1, 64, 1, 63, ...: each of the large ones exceeds by one what is left."""
    large = np.arange(64, 1, -1)
    sizes = np.stack([np.ones_like(large), large], axis=1).reshape(-1).astype(np.int32)
    sizes, rounds = np.pad(sizes, (0, 2 * int(sizes.sum()) - sizes.size)), []
    count = lambda _: rounds.append(1)  # noqa: E731

    def counted(condition, body, state):
        def step(state):
            jax.debug.callback(count, 0)
            return body(state)

        return loop(condition, step, state)

    loop = jax.lax.while_loop
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.lax, "while_loop", counted)
        taken = np.asarray(words._take_what_fits(jnp.asarray(sizes), 64))
    jax.effects_barrier()
    left, expected = 64, []
    for size in sizes:
        expected.append(0 < size <= left)
        left -= size if expected[-1] else 0
    np.testing.assert_array_equal(taken, expected)
    assert 1 <= len(rounds) <= 7


def test_whole_word_hides_every_word_equally_often_where_all_are_of_one_length():
    runtime = {"word_ids": np.repeat(np.arange(4), 2)}
    share = _draw_many("whole_word", 5, runtime, length=8).mean(axis=0)
    assert (abs(share - 0.5) < 4.5 * np.sqrt(0.25 / NUM_DRAWS)).all()  # 2 of 4 words


def test_units_of_several_words_are_hidden_whole():
    # PMI-Masking: "New York City" is one unit, of four pieces.
    is_masked = _draw_many("whole_word", 4, {"word_ids": np.array([0, 1, 1, 1, 1, 2, 3])}, length=7)
    assert set(is_masked[:, 1:5].sum(axis=1).tolist()) == {0, 4}
    assert (is_masked.sum(axis=1) <= 4).all()


def _span_lengths(drawn, p, longest):
    """Inversion of the renormalised geometric law, one uniform at a time."""
    shares = [p * (1 - p) ** (n - 1) for n in range(1, longest + 1)]
    lengths = []
    for u in drawn:
        n = 1
        while n < longest and u >= sum(shares[:n]) / sum(shares):
            n += 1
        lengths.append(n)
    return lengths


def _spanbert(ids, anchors, lengths, budget):
    """The sampler's loop; lengths by the number of the run that the anchor's word is."""
    runs, _ = _words(ids)
    number = {i: n for n, run in enumerate(runs) for i in run}
    hidden = []
    for anchor in anchors:
        if ids[anchor] < 0 or anchor in hidden:
            continue
        first = number[anchor]
        for run in runs[first : first + lengths[first]]:
            if ids[run[0]] < 0:
                break
            for i in run:
                if i not in hidden and len(hidden) < budget:
                    hidden.append(i)
    return hidden


LAWS = [(0.2, 10), (0.5, 3), (1.0, 1)]


def _check_spans(word_ids, is_candidate, budget, seed, law):
    ids = np.where(is_candidate, word_ids, -1)
    order_key, length_key = jax.random.split(jax.random.key(seed))
    anchors = np.argsort(-np.asarray(_permutation(order_key)))
    lengths = _span_lengths(np.asarray(jax.random.uniform(length_key, (L,))), *law)
    runtime = {"word_ids": jnp.asarray(word_ids), "is_candidate": jnp.asarray(is_candidate)}
    rule = _scoring("spans", p=law[0], max_span_length=law[1])
    scores = rule(jax.random.key(seed), budget, runtime)
    hidden = _spanbert(ids, anchors, lengths, budget)
    np.testing.assert_array_equal(masking.cut_chosen(scores), _flags(hidden))
    assert len(hidden) == min(budget, (ids >= 0).sum())  # its count is exact
    # Another count goes on, or stops earlier, in the same order.
    for other in range(0, L + 1, 4):
        expected = _flags(_spanbert(ids, anchors, lengths, other))
        np.testing.assert_array_equal(_cut_counts(scores, jnp.asarray(other)), expected)


@properties
@given(cases(), st.sampled_from(LAWS))
def test_spans_are_those_of_spanbert(case, law):
    _check_spans(*case, law)


@pytest.mark.parametrize("law", LAWS)
def test_spans_are_those_of_spanbert_where_many_overlap(law):
    for seed in range(25):
        word_ids = np.arange(L) // (1 + seed % 2)
        _check_spans(word_ids.astype(np.int32), np.ones(L, bool), 3 + seed % 9, seed, law)


def test_spans_have_the_statistics_of_an_independent_sampler():
    # Anchors with replacement and NumPy's generator, as the released code draws them.
    random, budget = np.random.RandomState(0), 5
    ids = np.array([0, 1, 1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 8, 9, 10, 11])
    shares = np.array([0.2 * 0.8**n for n in range(10)])
    runs, _ = _words(ids)
    number = {i: n for n, run in enumerate(runs) for i in run}

    def sample():
        hidden = []
        while len(hidden) < budget:
            length, anchor = random.choice(10, p=shares / shares.sum()) + 1, random.randint(L)
            if anchor not in hidden:
                for run in runs[number[anchor] : number[anchor] + length]:
                    hidden += [i for i in run if i not in hidden]
        return _flags(hidden[:budget])

    theirs = np.stack([sample() for _ in range(1500)])
    ours = _draw_many("spans", budget, {"word_ids": ids})
    statistics = [np.c_[x, [len(_runs(row)) for row in x]].astype(float) for x in (ours, theirs)]
    a, b = statistics
    error = np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))
    assert (abs(a.mean(axis=0) - b.mean(axis=0)) < 4.5 * error).all()
    # Spans are placed by their start, so the edges differ: the first word is hidden least.
    assert ours[:, 0].mean() < ours[:, 8:].mean(axis=0).min()


def _chi_square(counts, expected):
    return ((np.asarray(counts) - expected) ** 2 / expected).sum()


def test_span_lengths_are_geometric_and_renormalised_with_a_mean_of_3_8():
    length, num_draws = 400, 1500
    keys = jax.random.split(jax.random.key(1), num_draws)
    scores = jax.jit(lambda keys: masking.score(masking.make_rule("spans"), keys, (length,), 0))
    order = np.asarray(scores(keys)).argsort(axis=1)[:, :-12:-1]  # the first to be hidden first
    # The first span goes on until the order jumps; one in 400 is joined by its neighbour.
    in_span = (np.diff(order, axis=1) == 1).cumprod(axis=1).sum(axis=1) + 1
    in_span = in_span[(order[:, 0] < length - 10) & (in_span <= 10)]
    shares = 0.2 * 0.8 ** np.arange(10)
    shares /= shares.sum()
    mean = (shares * np.arange(1, 11)).sum()
    assert abs(mean - 3.8) < 0.01  # the figure of the paper; clipping instead would give 4.5
    assert abs(in_span.mean() - mean) < 4.5 * 2.7 / np.sqrt(num_draws)
    counts = np.bincount(in_span, minlength=11)[1:]
    assert _chi_square(counts, shares * len(in_span)) < 27.9  # 9 degrees, p = .001


def test_the_first_span_starts_in_a_word_in_proportion_to_its_tokens():
    runtime = {"word_ids": np.array([0, 1, 1, 2, 2, 2, 3, 3, 3, 3])}
    counts = _draw_many("spans", 1, runtime, length=10).sum(axis=0)
    assert set(np.flatnonzero(counts)) == {0, 1, 3, 6}  # word starts
    assert _chi_square(counts[[0, 1, 3, 6]], NUM_DRAWS / 10 * np.arange(1, 5)) < 16.3  # 3 degrees


def test_spans_of_tokens_start_everywhere_equally_often_at_the_edges_too():
    is_masked = _draw_many("spans", 1, {"word_ids": np.arange(10)}, length=10)
    assert _chi_square(is_masked.sum(axis=0), NUM_DRAWS / 10) < 27.9  # 9 degrees


# round(4 / 2.0) spans; round(7 / 2.0) but for the three visible tokens. Critical at p = .001.
@pytest.mark.parametrize(
    ("length", "num_masked", "num_spans", "num_allowed", "critical"),
    [(9, 4, 2, 12, 31.3), (10, 7, 3, 15, 36.1)],
)
def test_all_masks_that_t5_allows_are_equally_likely(
    length, num_masked, num_spans, num_allowed, critical
):
    allowed = [
        flags
        for flags in itertools.product([False, True], repeat=length)
        if sum(flags) == num_masked and len(_runs(flags)) == num_spans
        if not flags[0] and flags[-1]
    ]
    counts = [0] * len(allowed)
    for row in _draw_many("t5_spans", num_masked, length=length, mean_span_length=2).tolist():
        counts[allowed.index(tuple(row))] += 1
    assert len(allowed) == num_allowed
    assert _chi_square(counts, NUM_DRAWS / num_allowed) < critical


@properties
@given(
    st.integers(0, L), st.integers(0, 3), st.integers(0, L), st.sampled_from([1, 2.5, 3.0]),
    st.integers(0, 2**20),
)  # fmt: skip
def test_t5_spans_are_exact_in_count_and_number_and_do_not_touch(
    num_real, first, count, mean, seed
):
    is_candidate = (np.arange(L) >= first) & (np.arange(L) < first + num_real)
    runtime = {"is_candidate": jnp.asarray(is_candidate)}
    rule = _scoring("t5_spans", mean_span_length=mean)
    scores = rule(jax.random.key(seed), jnp.int32(count), runtime)
    is_masked = np.asarray(masking.cut_chosen(scores))
    real = is_masked[is_candidate]
    hidden, visible = min(count, real.size), real.size - min(count, real.size)
    assert is_masked.sum() == real.sum() == hidden
    np.testing.assert_array_equal(is_masked, _cut_counts(scores, jnp.asarray(count)))
    if hidden and visible:
        assert len(_runs(real)) == min(max(1, round(hidden / mean)), visible)
        assert not real[0]
        assert real[-1]


def test_t5_counts_are_those_of_python_floats():
    lengths = np.arange(200)
    for ratio in (0.15, 0.5, 0.9):
        expected = [0, 0] + [min(max(round(n * ratio), 1), n - 1) for n in range(2, 200)]
        counts = text.t5_num_masked(jnp.asarray(lengths), ratio, max_length=199)
        np.testing.assert_array_equal(counts, expected)


def test_the_budget_of_spanbert_is_rounded_up():
    counts = text.spanbert_num_masked(jnp.array([0, 1, 6, 7, 20, 100]), 0.15, max_length=100)
    assert counts.tolist() == [0, 1, 1, 2, 3, 15]


def test_token_probabilities_are_the_rates_and_draws_are_independent():
    probabilities = np.array([0.0, 0.05, 0.15, 0.5, 0.9, 1.0], np.float32)
    keys = jax.random.split(jax.random.key(0), 6000)
    rule = masking.make_rule("token_probabilities", probabilities=jnp.asarray(probabilities))
    is_masked = np.asarray(masking.draw_chosen(rule, keys, (6,), 0)).astype(float)
    error = np.sqrt(probabilities * (1 - probabilities) / 6000)
    assert (abs(is_masked.mean(axis=0) - probabilities) <= 4.5 * error).all()
    assert (abs(np.corrcoef(is_masked[:, 1:5].T) - np.eye(4)) < 4.5 / np.sqrt(6000)).all()
    variance = (probabilities * (1 - probabilities)).sum()  # of a sum of independent draws
    assert abs(is_masked.sum(axis=1).var() / variance - 1) < 0.1


def test_probabilities_of_a_table_and_of_an_example():
    table, tokens = jnp.array([0.0, 1.0, 1.0]), jnp.array([[0, 1, 2], [2, 0, 0]])
    rule, keys = masking.make_rule("token_probabilities"), jax.random.split(jax.random.key(0), 2)
    drawn = masking.draw_chosen(rule, keys, (3,), 0, probabilities=table[tokens])
    assert drawn.tolist() == [[False, True, True], [True, False, False]]
    drawn = masking.draw_chosen(rule, keys, (3,), 0, probabilities=jnp.array([0.0, 1.0]))
    assert drawn.tolist() == [[False] * 3, [True] * 3]


RUNTIME = {
    "whole_word": {"word_ids"},
    "spans": {"word_ids"},
    "t5_spans": set(),
    "token_probabilities": {"probabilities"},
    "random": set(),
}


@pytest.mark.parametrize("name", RUNTIME)
def test_special_tokens_and_padding_are_never_masked(name):
    # [CLS] a a b c [SEP] d d [SEP] and padding; an empty row; a count above what may be hidden.
    word_ids = np.array([[-1, 0, 0, 1, 2, -1, 3, 3, -1] + [-1] * 7, [-1] * L, [0] * 3 + [-1] * 13])
    is_candidate = word_ids >= 0
    values = {
        "word_ids": jnp.where(jnp.asarray(is_candidate), word_ids, 9),  # the flags must do it
        "probabilities": jnp.full(word_ids.shape, 0.5),
    }
    runtime = {key: value for key, value in values.items() if key in RUNTIME[name]}
    draw = jax.jit(
        lambda keys, counts: masking.draw_counts(
            masking.make_rule(name), keys, (L,), counts, is_candidate=is_candidate, **runtime
        )
    )
    for seed in range(5):
        keys = jax.random.split(jax.random.key(seed), 3)
        is_masked = np.asarray(draw(keys, jnp.array([seed, 4, 9])))
        assert not is_masked[~is_candidate].any()
        assert is_masked.sum(axis=1).tolist() == [seed, 0, 3]


@pytest.mark.parametrize(
    ("name", "options", "count", "message"),
    [
        ("whole_word", {"word_ids": jnp.arange(5)}, 2, r"word_ids of shape \(5,\) for 4 positions"),
        ("whole_word", {"word_ids": jnp.arange(4)}, 5, "num_masked 5 must be from 0 to the 4"),
        ("spans", {"word_ids": jnp.arange(5)}, 2, r"word_ids of shape \(5,\) for 4 positions"),
        ("spans", {"p": 0}, 2, "p 0 must lie in"),
        ("spans", {"max_span_length": 0}, 2, "max_span_length 0 must be at least 1"),
        ("spans", {}, -1, "num_masked -1 must be from 0 to the 4"),
        ("t5_spans", {"mean_span_length": 0.5}, 2, "mean_span_length 0.5 must be at least 1"),
        ("t5_spans", {}, 5, "num_masked 5 must be from 0 to the 4"),
        ("token_probabilities", {"probabilities": jnp.ones(3)}, 2, r"shape \(3,\) for 4 positions"),
    ],
)
def test_what_does_not_fit_is_refused(name, options, count, message):
    with pytest.raises(ValueError, match=message):
        masking.make_rule(name, **options)(jax.random.key(0), (4,), count)


@pytest.mark.parametrize("count", [text.t5_num_masked, text.spanbert_num_masked])
def test_ratios_and_bounds_out_of_range_are_refused(count):
    with pytest.raises(ValueError, match=r"mask ratio 1\.5 must lie strictly between 0 and 1"):
        count(jnp.array([4]), 1.5, max_length=8)
    with pytest.raises(ValueError, match="max_length 0 must be at least 1"):
        count(jnp.array([4]), 0.5, max_length=0)
