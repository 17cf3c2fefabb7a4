import numpy as np

from maskjax.data.history.generated import LENGTHS, Chain
from maskjax.data.history.histories import histories_of, leave_last_out


def test_every_item_is_in_one_place_of_one_split_or_in_training():
    lengths = np.array([1, 2, 3, 4, 40])
    splits = leave_last_out(lengths)
    for user, length in enumerate(lengths):
        ends = {name: split.ends[split.users == user].tolist() for name, split in splits.items()}
        if length < 3:
            assert ends == {"train": [length], "validation": [], "test": []}
        else:  # the target is the item at `ends`: behind training, and the very last one
            assert ends == {"train": [length - 2], "validation": [length - 2], "test": [length - 1]}


def test_users_and_items_do_not_depend_on_the_order_of_lines():
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 9, 200), rng.integers(0, 30, 200)
    times = rng.permutation(200)
    order = rng.permutation(200)
    one = histories_of(users, items, times)
    other = histories_of(users[order], items[order], times[order])
    for name in ("items", "starts", "names"):
        assert (getattr(one, name) == getattr(other, name)).all()
    for number, user in enumerate(np.unique(users)):
        mine = np.flatnonzero(users == user)
        expected = items[mine[np.argsort(times[mine])]]
        assert (one.names[one[number] - 1] == expected).all()


def test_a_chain_follows_its_probabilities():
    chain = Chain(seed=3, num_items=5)
    histories = chain.draw(3000)
    assert histories.lengths.min() == LENGTHS[0]
    assert histories.lengths.max() == LENGTHS[1]
    np.testing.assert_allclose(chain.probabilities.sum(axis=1), 1)
    counts = np.zeros((5, 5))
    for user in range(len(histories)):
        row = histories[user] - 1
        np.add.at(counts, (row[:-1], row[1:]), 1)
    seen = counts.sum(axis=1, keepdims=True)
    error = np.abs(counts / seen - chain.probabilities)
    assert (error < 5 * np.sqrt(0.25 / seen)).all()


def test_a_seed_draws_other_histories_of_another_chain():
    first, same, other = (Chain(seed, 20) for seed in (0, 0, 1))
    assert (first.probabilities == same.probabilities).all()
    assert (first.draw(10).items == same.draw(10).items).all()
    assert (first.probabilities != other.probabilities).any()
