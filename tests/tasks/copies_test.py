"""Static masks of images: what comes again in which epoch, through the loader and the task."""

import itertools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import data, tasks
from maskjax.tasks.task import Context
from maskjax.training import step

COUNT, EPOCHS = 12, 6


@pytest.fixture(scope="module")
def masks_of(tmp_path_factory, load_config):
    """`masks_of(batch_size, **overrides)`: {(example, epoch): its mask} of EPOCHS epochs."""
    path = tmp_path_factory.mktemp("static") / "x.npz"
    np.savez(path, x_train=np.arange(COUNT * 64, dtype=np.float32).reshape(COUNT, 8, 8, 1))
    own = {"source": f"array:{path}", "validation_fraction": 0, "test_fraction": 0}

    def masks_of(batch_size=4, *, num_workers=0, **overrides):
        config = load_config("mae", "smoke", **overrides)
        task = tasks.build(config, types.SimpleNamespace(shape=(8, 8, 1)))
        built = data.build(
            {**own, "num_workers": num_workers}, seed=config.seed, batch_size=batch_size
        )

        @jax.jit
        def drawn(batch, number):
            keys = step.train_keys(config.seed, number, jnp.arange(batch_size))
            documents = step.document_keys(config.seed, batch["id"])
            return task.masker.draw(Context(keys, number, documents), batch)[0].is_masked

        found, batches = {}, built.train_batches()
        for number, batch in itertools.islice(enumerate(batches), EPOCHS * COUNT // batch_size):
            rows = np.asarray(drawn(batch, jnp.int32(number)))
            for at, epoch, row in zip(batch["id"].tolist(), batch["epoch"].tolist(), rows):
                found[at, epoch] = row.tobytes()
        batches.close()
        assert len(found) == COUNT * EPOCHS
        return found

    return masks_of


def test_masks_of_an_image_come_again_after_so_many_epochs_and_fresh_ones_never(masks_of):
    static = masks_of(**{"mask.copies": 2})
    for (example, epoch), mask in static.items():
        assert mask == static[example, epoch % 2]
    # Of C(16, 12) = 1820 masks an image has two, and two images rarely the same.
    assert len(set(static.values())) >= 2 * COUNT - 3
    assert len(set(masks_of().values())) >= COUNT * EPOCHS - 10


def test_masks_of_an_image_do_not_depend_on_batches_or_workers(masks_of):
    static = {"mask.copies": 3}
    assert masks_of(4, **static) == masks_of(6, num_workers=1, **static)
    assert masks_of(4, **static) != masks_of(4, seed=1, **static)


def test_evaluations_hide_the_same_whatever_comes_again_in_training(load_config):
    keys = jax.random.split(jax.random.key(0), (2, 3))
    batch = {"id": jnp.arange(3), "epoch": jnp.zeros(3, jnp.int32)}
    shape = types.SimpleNamespace(shape=(8, 8, 1))
    one, other = (
        tasks.build(load_config("mae", "smoke", **{"mask.copies": copies}), shape).masker
        for copies in (0, 2)
    )
    judged = Context(keys[0], 0, keys[1], train=False)
    np.testing.assert_array_equal(*(x.draw(judged, batch)[0].is_masked for x in (one, other)))
