"""A learned query reads tokens as a slow loop over heads does."""

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.models.attentive import AttentiveHead


def test_a_query_reads_the_tokens_of_each_example():
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(2, 5, 6))
    head = AttentiveHead(3, 2, jax.nn.initializers.normal(1.0))
    params = head.init(jax.random.key(0), jnp.zeros((1, 5, 6)))["params"]
    params = jax.tree.map(lambda x: rng.normal(size=x.shape), params)
    found = head.apply({"params": params}, jnp.asarray(tokens, jnp.float32))

    def mapped(name, x):
        return x @ params[name]["kernel"] + params[name]["bias"]

    for example, row in zip(tokens, np.asarray(found)):
        keys, values, query = (
            mapped("key", example),
            mapped("value", example),
            params["query"][0, 0],
        )
        read = []
        for part in (slice(0, 3), slice(3, 6)):
            scores = np.exp(keys[:, part] @ query[part] / np.sqrt(3))
            read.append(scores / scores.sum() @ values[:, part])
        read = np.concatenate(read)
        read = (read - read.mean()) / np.sqrt(read.var() + 1e-6)
        read = read * params["norm"]["scale"] + params["norm"]["bias"]
        np.testing.assert_allclose(row, mapped("predict", read), rtol=1e-4)
