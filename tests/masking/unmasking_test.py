"""Iterative unmasking on toy models, against slow loops of MaskGIT's and LLaDA's samplers."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax.masking import unmasking

B, L, V, MASK = 3, 10, 6, 9
KEYS = jax.random.split(jax.random.key(0), B)
STEP = {
    "state": (jnp.full((B, L), MASK), jnp.ones((B, L), bool)),
    "logits": jnp.zeros((B, L, V)),
    "keys": KEYS,
}
TABLE = np.random.RandomState(0).randn(L, V).astype(np.float32)
# cos(pi i / 16), from a table of cosines.
COSINES = [0.98078528, 0.92387953, 0.83146961, 0.70710678, 0.55557023, 0.38268343, 0.19509032]


def test_cosine_schedule_of_maskgit():
    left = [256, *(math.floor(256 * cosine) for cosine in COSINES), 0]
    expected = [a - b for a, b in itertools.pairwise(left)]
    assert unmasking.unmasking_schedule("cosine", 256, 8).tolist() == expected


@pytest.mark.parametrize(
    ("name", "num_hidden", "num_steps", "expected"),
    [
        ("linear", 10, 4, [3, 2, 3, 2]),  # floor(7.5), floor(5), floor(2.5) are left
        ("linear", 100, 10, [10] * 10),
        ("even", 10, 4, [3, 3, 2, 2]),
        ("even", 128, 128, [1] * 128),
        ("even", 2, 4, [1, 1, 0, 0]),
        # One a step while more than one is left; the last is for the last step.
        ("cosine", 3, 6, [1, 1, 0, 0, 0, 1]),
        ("linear", 3, 3, [1, 1, 1]),
        ("cosine", 1, 1, [1]),
        ("cosine", 0, 3, [0, 0, 0]),
        ("even", 0, 2, [0, 0]),
    ],
)
def test_schedules_by_hand(name, num_hidden, num_steps, expected):
    counts = unmasking.unmasking_schedule(name, num_hidden, num_steps)
    assert counts.dtype == np.int32
    assert counts.tolist() == expected


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.sampled_from(unmasking.UNMASKING_SCHEDULES), st.integers(0, 300), st.integers(1, 40))
def test_every_schedule_reveals_all_positions_exactly_once(name, num_hidden, num_steps):
    counts = unmasking.unmasking_schedule(name, num_hidden, num_steps)
    assert counts.shape == (num_steps,)
    assert counts.sum() == num_hidden
    assert counts.min() >= (num_hidden >= num_steps)


def test_schedules_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"unknown unmasking schedule 'cubic'; known: .*'cosine'"):
        unmasking.unmasking_schedule("cubic", 4, 2)
    with pytest.raises(ValueError, match="num_hidden -1 must be at least 0 and num_steps 2"):
        unmasking.unmasking_schedule("even", -1, 2)
    with pytest.raises(ValueError, match="num_hidden 4 must be at least 0 and num_steps 0"):
        unmasking.unmasking_schedule("even", 4, 0)
    with pytest.raises(ValueError, match=r"unknown unmasking schedule 'cubic'; known: .*'cosine'"):
        unmasking.unmasking_counts("cubic", jnp.array([4]), 2)
    for num_steps in (0, 2**15 + 1):
        with pytest.raises(ValueError, match=f"num_steps {num_steps} must be from 1 to 32768"):
            unmasking.unmasking_counts("even", jnp.array([4]), num_steps)


_counts = jax.jit(unmasking.unmasking_counts, static_argnames=("name", "num_steps"))


@pytest.mark.parametrize("name", unmasking.UNMASKING_SCHEDULES)
@pytest.mark.parametrize("num_steps", [1, 2, 3, 8, 15, 40])
def test_counts_of_each_row_are_the_schedule_of_its_own_number(name, num_steps):
    # 1/2 is a cosine at 3 and 15 steps: products that are whole, where one bit would tell.
    num_hidden = [*range(300), 4095, 65_536, 1_000_003, 2**21 - 2, 2**21 - 1]
    counts = _counts(name=name, num_hidden=jnp.array(num_hidden), num_steps=num_steps)
    assert counts.dtype == jnp.int32
    expected = [unmasking.unmasking_schedule(name, number, num_steps) for number in num_hidden]
    np.testing.assert_array_equal(counts, np.stack(expected, axis=1))
    np.testing.assert_array_equal(counts.sum(axis=0), num_hidden)


@pytest.mark.parametrize("name", unmasking.UNMASKING_SCHEDULES)
def test_counts_of_numbers_out_of_range_are_clipped_and_of_many_steps_exact(name):
    counts = unmasking.unmasking_counts(name, jnp.array([-3, 2**21 + 5, 70_000]), 2**15)
    assert counts.sum(axis=0).tolist() == [0, 2**21 - 1, 70_000]
    expected = unmasking.unmasking_schedule(name, 70_000, 2**15)
    np.testing.assert_array_equal(counts[:, 2], expected)


def _model(tokens):
    """A toy: logits depend on the place and on how many of each token are visible."""
    counts = (tokens[:, None] == jnp.arange(V)[None]).sum(axis=0)
    return jnp.asarray(TABLE) + jnp.sin(counts + jnp.arange(V))[None]


def _start():
    """A prompt of visible tokens in each row."""
    is_masked = np.ones((B, L), bool)
    is_masked[1, :3] = is_masked[2, ::3] = False
    tokens = np.where(is_masked, MASK, np.arange(L) % V).astype(np.int32)
    return tokens, is_masked


@functools.cache
def _generating(token_temperature, choice_temperature):
    """The loop of a user: one lax.scan over the schedule."""

    def generate(state, counts, keys):
        num_steps = len(counts)

        def step(state, inputs):
            number, count, step_keys = inputs
            state = unmasking.unmask_step(
                state,
                jax.vmap(_model)(state.tokens),
                step_keys,
                count,
                token_temperature=token_temperature,
                choice_temperature=choice_temperature * (1 - (number + 1) / num_steps),
            )
            return state, state

        return jax.lax.scan(step, state, (jnp.arange(num_steps), counts, keys))[1]

    return jax.jit(generate)


def _step_keys(num_steps):
    fold = jax.vmap(jax.vmap(jax.random.fold_in, (0, None)), (None, 0))
    return fold(KEYS, jnp.arange(num_steps))


def _generate_slowly(keys, counts, token_temperature, choice_temperature):
    """Row by row and position by position, with the Gumbel noise that the step draws."""
    all_tokens, all_masked = _start()
    for row in range(B):
        tokens, is_masked = all_tokens[row], all_masked[row]
        for number, count in enumerate(np.broadcast_to(counts.T, (B, len(counts)))[row]):
            token_key, choice_key = jax.random.split(keys[number, row])
            token_noise = np.asarray(jax.random.gumbel(token_key, (L, V)), np.float64)
            choice_noise = np.asarray(jax.random.gumbel(choice_key, (L,)), np.float64)
            progress = (number + 1) / len(counts)
            counts_of = np.array([(tokens == token).sum() for token in range(V)])
            logits = TABLE.astype(np.float64) + np.sin(counts_of + np.arange(V))
            candidates = []
            for i in np.flatnonzero(is_masked):
                token = int(np.argmax(logits[i] + token_temperature * token_noise[i]))
                log_p = logits[i, token] - np.log(np.exp(logits[i]).sum())
                noise = choice_temperature * (1 - progress) * choice_noise[i]
                candidates.append((log_p + noise, i, token))
            for _, i, token in sorted(candidates)[::-1][:count]:
                tokens[i], is_masked[i] = token, False
    return all_tokens, all_masked


@pytest.mark.parametrize(
    ("name", "token_temperature", "choice_temperature"),
    [("even", 0, 0.0), ("cosine", 1.0, 4.5), ("linear", 0.5, 1.0)],
)
def test_scanned_steps_are_the_published_samplers(name, token_temperature, choice_temperature):
    counts = unmasking.unmasking_schedule(name, L, 4)
    keys = _step_keys(4)
    generate = _generating(token_temperature, choice_temperature)
    state = unmasking.Unmasking(*map(jnp.asarray, _start()))
    states = generate(state, jnp.asarray(counts), keys)
    tokens, is_masked = _generate_slowly(keys, counts, token_temperature, choice_temperature)
    np.testing.assert_array_equal(states.tokens[-1], tokens)
    np.testing.assert_array_equal(states.is_masked[-1], is_masked)
    assert not is_masked.any()
    # The prompt, and what a step reveals, stays; hidden positions hold the mask token.
    before = [state, *(jax.tree.map(lambda x, i=i: x[i], states) for i in range(3))]
    for old, new_tokens, new_masked in zip(before, states.tokens, states.is_masked):
        visible = ~np.asarray(old.is_masked)
        np.testing.assert_array_equal(new_tokens[visible], old.tokens[visible])
        assert not new_masked[visible].any()
        assert (np.asarray(new_tokens)[np.asarray(new_masked)] == MASK).all()
    left = L - np.cumsum(counts)
    np.testing.assert_array_equal(states.is_masked[:, 0].sum(axis=1), left)


@pytest.mark.parametrize("name", unmasking.UNMASKING_SCHEDULES)
def test_prompts_of_different_lengths_each_follow_their_own_schedule(name):
    keys = _step_keys(4)
    state = unmasking.Unmasking(*map(jnp.asarray, _start()))
    hidden = np.asarray(state.is_masked).sum(axis=1)
    assert len(set(hidden.tolist())) == B
    counts = unmasking.unmasking_counts(name, state.is_masked.sum(axis=1), 4)
    states = _generating(0.5, 1.0)(state, counts, keys)
    for row in range(B):
        own = unmasking.unmasking_schedule(name, int(hidden[row]), 4)
        left = states.is_masked[:, row].sum(axis=1)
        np.testing.assert_array_equal(left, hidden[row] - np.cumsum(own))
    tokens, is_masked = _generate_slowly(keys, np.asarray(counts), 0.5, 1.0)
    np.testing.assert_array_equal(states.tokens[-1], tokens)
    assert not is_masked.any()


def test_low_confidence_positions_are_remasked():
    # The model knows the text, the better the further right.
    target = np.arange(L) % V
    logits = jnp.asarray(np.eye(V)[target] * np.arange(1, L + 1)[:, None], jnp.float32)
    logits = jnp.broadcast_to(logits, (B, L, V))
    state = unmasking.Unmasking(jnp.full((B, L), MASK), jnp.ones((B, L), bool))
    for revealed in (4, 8, 10):
        state = unmasking.unmask_step(state, logits, KEYS, 4)
        expected = np.where(np.arange(L) >= L - revealed, target, MASK)
        np.testing.assert_array_equal(state.tokens, np.tile(expected, (B, 1)))


def test_counts_may_differ_by_row_and_exceed_what_is_hidden():
    state = unmasking.Unmasking(*map(jnp.asarray, _start()))
    hidden = np.asarray(state.is_masked).sum(axis=1)
    step = jax.jit(unmasking.unmask_step)
    logits = jax.vmap(_model)(state.tokens)
    state = step(state, logits, KEYS, jnp.array([0, 2, 99]))
    assert (hidden - np.asarray(state.is_masked).sum(axis=1)).tolist() == [0, 2, hidden[2]]


def test_noise_makes_the_choice_random_and_temperature_0_does_not():
    log_probs = jnp.broadcast_to(jnp.log(jnp.array([0.5, 0.3, 0.2])), (3000, 3))
    keys = jax.random.split(jax.random.key(1), 3000)
    is_masked = jnp.ones((3000, 3), bool)

    def share(temperature):
        confidence = unmasking.noisy_confidence(log_probs, keys, temperature=temperature)
        return np.asarray(unmasking.most_confident(confidence, is_masked, 1)).mean(axis=0)

    assert share(0).tolist() == [1, 0, 0]
    # Gumbel-max: at temperature 1 in proportion to p, at a high one evenly.
    for temperature, expected in [(1, np.array([0.5, 0.3, 0.2])), (1e4, np.full(3, 1 / 3))]:
        error = np.sqrt(expected * (1 - expected) / 3000)
        assert (abs(share(temperature) - expected) < 4.5 * error).all()


def test_hidden_positions_of_no_confidence_are_revealed_last_and_visible_ones_never():
    confidence = jnp.array([[-jnp.inf, 5.0, -1.0, -jnp.inf]])
    is_masked = jnp.array([[True, False, True, True]])
    revealed = [
        unmasking.most_confident(confidence, is_masked, n).astype(int).tolist()[0] for n in range(5)
    ]
    assert revealed[:2] == [[0, 0, 0, 0], [0, 0, 1, 0]]
    assert [sum(row) for row in revealed] == [0, 1, 2, 3, 3]
    assert not any(row[1] for row in revealed)


def test_temperatures_below_0_are_refused():
    state = unmasking.Unmasking(jnp.full((B, L), MASK), jnp.ones((B, L), bool))
    logits = jnp.zeros((B, L, V))
    with pytest.raises(ValueError, match="token_temperature -1 must be at least 0"):
        unmasking.unmask_step(state, logits, KEYS, 1, token_temperature=-1)
    with pytest.raises(ValueError, match=r"temperature -0\.5 must be at least 0"):
        unmasking.unmask_step(state, logits, KEYS, 1, choice_temperature=-0.5)


low_precision = pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])


def _within(share, expected, num_draws):
    return abs(share - expected) < 4.5 * np.sqrt(expected * (1 - expected) / num_draws)


@low_precision
def test_tokens_are_drawn_by_their_probabilities_in_few_bits_too(dtype):
    length, vocab_size = 4096, 1024
    logits = jnp.full(vocab_size, np.log(0.2 / 1023)).at[7].set(np.log(0.8)).astype(dtype)
    exact = np.exp(np.asarray(logits, np.float64))
    state = unmasking.Unmasking(jnp.full((1, length), -1), jnp.ones((1, length), bool))
    logits = jnp.broadcast_to(logits, (1, length, vocab_size))
    tokens = unmasking.unmask_step(state, logits, KEYS[:1], length, token_temperature=1).tokens
    assert _within((tokens == 7).mean(), exact[7] / exact.sum(), length)


@low_precision
def test_the_most_confident_are_revealed_first_in_few_bits_too(dtype):
    # Probabilities from .99962 down to .98201, whose logits are numbers of bfloat16.
    gaps = 8 - np.arange(1, 33) / 8
    logits = jnp.stack([jnp.asarray(gaps, dtype), jnp.zeros(32, dtype)], axis=-1)[None]
    state = unmasking.Unmasking(jnp.full((1, 32), MASK), jnp.ones((1, 32), bool))
    state = unmasking.unmask_step(state, logits, KEYS[:1], 4)
    assert np.flatnonzero(~np.asarray(state.is_masked)[0]).tolist() == [0, 1, 2, 3]


@low_precision
def test_noise_on_confidences_of_few_bits_is_not_of_few_bits(dtype):
    rows = 20_000
    log_probs = jnp.log(jnp.array([0.572, 0.428])).astype(dtype)
    exact = np.exp(np.asarray(log_probs, np.float64))
    confidence = unmasking.noisy_confidence(
        jnp.broadcast_to(log_probs, (rows, 2)), jax.random.split(KEYS[0], rows), temperature=1
    )
    assert confidence.dtype == jnp.float32
    share = (confidence[:, 0] > confidence[:, 1]).mean()
    assert _within(share, exact[0] / exact.sum(), rows)


def test_positions_of_nan_confidence_are_revealed_last():
    confidence, is_masked = jnp.array([[jnp.nan, -9.0, -jnp.inf]]), jnp.ones((1, 3), bool)
    revealed = [unmasking.most_confident(confidence, is_masked, n)[0].tolist() for n in (1, 3)]
    assert revealed == [[False, True, False], [True, True, True]]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": (STEP["state"][0], jnp.ones((B, L), int))}, "is_masked holds int32: flags are"),
        ({"state": (STEP["state"][0], jnp.ones((B, 1), bool))}, r"is_masked of shape \(3, 1\)"),
        ({"logits": jnp.zeros((L, V))}, r"logits of shape \(10, 6\) for tokens of shape \(3, 10\)"),
        ({"logits": None}, "logits is None: give an array"),
        ({"keys": KEYS[0]}, "one key for 3 examples; give one per example"),
        ({"keys": jax.random.PRNGKey(0)}, r"keys are uint32\[2\]: give typed ones"),
        ({"num_unmasked": 0.75}, "num_unmasked 0.75 is a ratio: give a count"),
        ({"num_unmasked": jnp.array([1, 2])}, r"num_unmasked of shape \(2,\) for 3 examples"),
        ({"token_temperature": None}, "token_temperature is None: give one number"),
        ({"choice_temperature": "a"}, "temperature is 'a': give one number"),
    ],
)
def test_steps_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        unmasking.unmask_step(**STEP | {"num_unmasked": 1} | change)


@pytest.mark.usefixtures("unchecked")
def test_lists_and_numpy_arrays_are_unmasked():
    state = unmasking.Unmasking([[9, 9]], np.array([[True, True]]))
    state = unmasking.unmask_step(state, [[[0.0, 1.0], [5.0, 0.0]]], KEYS[:1], [1])
    assert state.tokens.tolist() == [[9, 0]]


@pytest.mark.usefixtures("unchecked")
def test_a_traced_temperature_of_tokens_is_refused():
    step = lambda t: unmasking.unmask_step(**STEP, num_unmasked=1, token_temperature=t)  # noqa: E731
    with pytest.raises(ValueError, match="token_temperature is traced: give a number"):
        jax.eval_shape(step, jnp.float32(1))


@pytest.mark.usefixtures("unchecked")
def test_counts_of_schedules_are_whole_numbers():
    assert unmasking.unmasking_counts("even", [4, 2], 2).tolist() == [[2, 1], [2, 1]]
    for call, message in [
        (lambda: unmasking.unmasking_schedule("even", 4.5, 2), "num_hidden .*4.5: give an int"),
        (lambda: unmasking.unmasking_schedule("even", 4, None), "num_steps .*None: give an int"),
        (lambda: unmasking.unmasking_counts("even", [0.5], 2), "num_hidden holds float32: give"),
        (
            lambda: unmasking.unmasking_counts("even", 4, 2),
            r"num_hidden of shape \(\): give a number",
        ),
        (lambda: unmasking.unmasking_counts("even", [4], 2.0), "num_steps .*2.0: give an int"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
