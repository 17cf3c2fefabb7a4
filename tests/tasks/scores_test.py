"""How badly examples are predicted, and masks of a ratio that is given with them."""

import jax
import jax.numpy as jnp
import numpy as np

from maskjax import masking
from maskjax.tasks.scores import NUM_DRAWS, mean_error
from maskjax.tasks.task import Context


def test_the_error_is_the_mean_over_what_counts_in_all_draws():
    keys = masking.example_keys(jax.random.key(0), 0, jnp.arange(3))
    drawn = []

    def errors(context):
        found = jax.vmap(lambda key: jax.random.uniform(key, (5,)))(context.keys)
        weights = (found > 0.3).astype(jnp.float32).at[2].set(0)
        return found, weights

    for number in range(NUM_DRAWS):
        folded = [jax.random.fold_in(key, number) for key in keys]
        drawn.append(np.stack([np.asarray(jax.random.uniform(key, (5,))) for key in folded]))
    expected = [np.mean([x for found in drawn for x in found[row] if x > 0.3]) for row in (0, 1)]
    scores = mean_error(errors, Context(keys))
    np.testing.assert_allclose(scores, [*expected, 0.0], rtol=1e-5)


def test_a_ratio_beside_an_example_hides_as_the_configs_does(build, params_of):
    task = build()  # 75 % of 16
    params, inputs = params_of(task), jax.random.normal(jax.random.key(7), (3, *task.shape))
    context = Context(masking.example_keys(jax.random.key(0), 0, jnp.arange(3)), train=False)
    ratios = jnp.array([0.75, 0.75, 0.25])
    both = jax.jit(
        lambda params: (
            task.reconstruct(params, {"inputs": inputs}, context),
            task.reconstruct(params, {"inputs": inputs, "mask_ratio": ratios}, context),
        )
    )
    static, given = both(params)
    for name in static:
        np.testing.assert_allclose(given[name][:2], static[name][:2], atol=1e-5)
    hidden = np.asarray(given["is_hidden"]).reshape(3, -1).mean(1)
    np.testing.assert_allclose(hidden, [0.75, 0.75, 0.25])
