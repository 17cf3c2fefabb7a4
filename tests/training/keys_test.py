"""Keys are numbers of seed, step and index, computed here as Salmon et al. 2011 define them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.training import step


def threefry(key, counter):
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011, section 3.3), on Python's integers."""
    bits = 2**32 - 1
    schedule = [*key, key[0] ^ key[1] ^ 0x1BD11BDA]
    x, y = (counter[0] + schedule[0]) & bits, (counter[1] + schedule[1]) & bits
    for group in range(5):
        for turn in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            x = (x + y) & bits
            y = ((y << turn | y >> 32 - turn) & bits) ^ x
        x = (x + schedule[(group + 1) % 3]) & bits
        y = (y + schedule[(group + 2) % 3] + group + 1) & bits
    return x, y


def test_threefry_here_has_the_published_answers():
    # The known answers that its authors publish with Random123.
    assert threefry((0, 0), (0, 0)) == (0x6B200159, 0x99BA4EFE)
    assert threefry((2**32 - 1,) * 2, (2**32 - 1,) * 2) == (0x1CB996FC, 0xBB002BE7)


@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg"])
def test_keys_are_threefry_of_seed_step_and_index_whatever_jax_is_set_to(implementation):
    seed, at = 3, 5
    with jax.default_prng_impl(implementation):
        keys = jax.random.key_data(step.train_keys(seed, jnp.int32(at), jnp.arange(4)))
        of_eval = jax.random.key_data(step.eval_keys(seed, jnp.arange(4)))
        of_init = jax.random.key_data(step.init_key(seed))
    root = (0, seed)
    for index in range(4):
        expected = threefry(threefry(root, (0, at)), (0, index))
        np.testing.assert_array_equal(keys[index], np.uint32(expected))
        expected = threefry(threefry(threefry(root, (0, 2**32 - 2)), (0, 0)), (0, index))
        np.testing.assert_array_equal(of_eval[index], np.uint32(expected))
    np.testing.assert_array_equal(of_init, np.uint32(threefry(root, (0, 2**32 - 1))))
