"""What arguments may be: arrays, NumPy arrays, lists, numbers; flags are boolean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking
from maskjax.masking import attention, checks, heads, parameters, unmasking

KEYS = jax.random.split(jax.random.key(0), 3)


@pytest.mark.parametrize("values", [[[1, 2]], ((1, 2),), np.array([[1, 2]]), jnp.array([[1, 2]])])
def test_lists_and_numpy_arrays_are_arrays(values):
    array = checks.as_array("ids", values)
    assert isinstance(array, jax.Array)
    assert array.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "ids is None: give an array"),
        ("ab", "ids is 'ab': give an array"),
        ([[1], [2, 3]], "ids of type list makes no array: give numbers, in rows of one length"),
        (object(), "ids of type object makes no array"),
    ],
)
def test_what_makes_no_array_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        checks.as_array("ids", values)


@pytest.mark.parametrize("flags", [[True, False], np.array([True, False])])
def test_flags_are_boolean(flags):
    assert checks.as_flags("is_valid", flags).tolist() == [True, False]


@pytest.mark.parametrize(
    ("flags", "advice"),
    [
        ([1, 0], "holds int32: .*give numpy.array.is_valid. == 1"),
        (np.array([1, 0], np.int8), "holds int8: .*give is_valid == 1"),
        (jnp.array([1, 0]), "holds int32: .*give is_valid == 1"),
        ([0.0, -1e9], "holds float32: flags are boolean; compare"),
        (jnp.array([0.0, -1e9], jnp.bfloat16), "holds bfloat16: flags are boolean; compare"),
    ],
)
def test_numbers_are_no_flags_traced_or_not(flags, advice):
    with pytest.raises(ValueError, match=advice):
        checks.as_flags("is_valid", flags)
    if isinstance(flags, jax.Array):
        with pytest.raises(ValueError, match=advice):
            jax.eval_shape(lambda flags: checks.as_flags("is_valid", flags), flags)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (KEYS[0], "^one key for 3 examples; give one per example, jax.random.split"),
        (KEYS[:2], "^2 keys for 3 examples"),
        (KEYS[:, None], r"^3 keys of shape \(3, 1\) for 3 examples"),
        (jax.random.PRNGKey(0), r"^keys are uint32\[2\]: give typed ones"),
        (0, "^keys are 0: give typed ones"),
    ],
)
def test_keys_are_one_for_each_example(keys, message):
    checks.check_keys(KEYS, 3)
    checks.check_keys(KEYS)
    with pytest.raises(ValueError, match=message):
        checks.check_keys(keys, 3)


@pytest.mark.parametrize("values", [[1.0], np.array([True])])
def test_floats_and_flags_are_no_whole_numbers(values):
    assert checks.as_integers("ids", [1, 2]).tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"ids holds (float32|bool): give whole numbers"):
        checks.as_integers("ids", values)


@pytest.mark.parametrize("kind", [np.array, np.float32, jnp.asarray])
def test_one_number_may_be_an_array(kind):
    checks.check_number("temperature", kind(0.5))


LOW_PRECISION = {
    "attend": lambda x: attention.attend(x, x, x),
    "attend blockwise": lambda x: attention.attend(x, x, x, implementation="blockwise"),
    "unmask_step": lambda x: unmasking.unmask_step(
        unmasking.Unmasking(jnp.zeros((3, 4), jnp.int32), jnp.ones((3, 4), bool)),
        x[:, :, 0],
        KEYS,
        2,
    ),
    "fill_noise": lambda x: masking.fill_noise(x, jnp.ones((3, 4), bool), KEYS, scale=0.5),
    "apply_frequency": lambda x: masking.frequency.apply_frequency(x, jnp.ones((3, 8), bool)),
    "normalize_layers": lambda x: heads.normalize_layers(x[0, 0]),
    "accumulate_movement": lambda x: parameters.accumulate_movement(x, x, x),
    "magnitude": lambda x: masking.RULES["magnitude"].score(KEYS[0], (5,), 1, weights=x[0, 0, 0]),
    "weighted": lambda x: masking.weighted(KEYS[0], (5,), 1, log_weights=x[0, 0, 0]),
    "token_probabilities": lambda x: masking.RULES["token_probabilities"].score(
        KEYS[0], (5,), 1, probabilities=x[0, 0, 0]
    ),
}


@pytest.mark.parametrize("name", LOW_PRECISION)
def test_low_precision_is_raised_where_jax_promotes_no_dtypes(name):
    with jax.numpy_dtype_promotion("strict"):
        jax.eval_shape(LOW_PRECISION[name], jnp.ones((3, 4, 2, 5), jnp.bfloat16))


def test_empty_lists_are_of_the_dtype_that_is_wanted():
    assert checks.as_flags("is_valid", [[]]).dtype == bool
    assert checks.as_integers("ids", []).dtype == jnp.int32
    with pytest.raises(ValueError, match="holds float32"):
        checks.as_integers("ids", jnp.zeros(0))


KEY = jax.random.key(0)
NUMBERS = {value: jnp.float32(value) for value in (-1, 0.25, 0.5, 1)}
COUNTS = {count: jnp.int32(count) for count in (2, 9)}
IDS = {name: jnp.array(ids) for name, ids in {"kept": [[0, 1]], "far": [[0, 5]]}.items()}
LOG_WEIGHTS, PATCHES = jnp.zeros(4), jnp.ones((1, 4, 3))


@pytest.mark.parametrize(
    ("call", "wrong", "words"),
    [
        (lambda ids: masking.keep(PATCHES, IDS[ids]), ("kept", "far"), "holds 5"),
        (lambda n: masking.random(KEY, (4,), COUNTS[n]), (2, 9), "num_masked 9 must be"),
        (
            lambda t: masking.weighted(
                KEY, (4,), 1, log_weights=LOG_WEIGHTS, temperature=NUMBERS[t]
            ),
            (1, -1),
            "temperature -1.0 must be",
        ),
        (
            lambda p: masking.text.token_probabilities(KEY, (4,), 1, probabilities=NUMBERS[p]),
            (0.5, -1),
            "probabilities -1.0 must be",
        ),
    ],
)
def test_what_is_known_is_looked_at_within_a_program_too(call, wrong, words):
    """Operations of jax on it are traced there, so that no limit could be told from them."""
    right, beyond = wrong
    jax.eval_shape(lambda: call(right))
    with pytest.raises(ValueError, match=words):
        jax.eval_shape(lambda: call(beyond))
