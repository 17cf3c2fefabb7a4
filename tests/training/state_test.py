"""The state at step 0."""

import numpy as np

from maskjax.training import run


def state_of(toy, **overrides):
    return run.initial_state(toy.Task(), toy.config(**overrides))


def test_moving_average_starts_as_a_copy_of_its_own(toy):
    state = state_of(toy, optimizer__ema_decay=0.9)
    np.testing.assert_array_equal(state.ema_params["kernel"], state.params["kernel"])
    state.params["kernel"].delete()
    assert not state.ema_params["kernel"].is_deleted()
    assert state.eval_params is state.ema_params


def test_an_update_that_is_there_spares_tracing_the_model(toy):
    traced = []

    class Counted(toy.Task):
        def init(self, key):
            traced.append(key)
            return super().init(key)

    task, config = Counted(), toy.config()
    update = run.update_of(task, config)
    run.make_step(task, config, None, update=update)
    assert len(traced) == 1
    run.initial_state(task, config, update)
    assert len(traced) == 2


def test_without_an_average_the_parameters_themselves_are_judged(toy):
    state = state_of(toy)
    assert state.ema_params is None
    assert state.eval_params is state.params
