"""Rules that learn what to hide: state in, state out, and never any hidden one.

Every method is a state (a NamedTuple of arrays: a pytree, so it is checkpointed with the rest) and
four functions: `init`, `statistics` of a batch, `apply(state, statistics)`, and `log_weights` or
`probabilities` that feed a rule. Statistics are sums: where devices hold different rows, add them
up before they are applied, and the state is that of the whole batch on every device.

    counts = running.statistics(losses, masking.is_masked)
    counts = jax.lax.psum(counts, "data")      # only where there are several devices
    state = running.apply(state, counts, decay=0.99)
    log_weights = jnp.broadcast_to(running.log_weights(state), (batch_size, num_positions))
    masking = draw(make_rule("weighted", temperature=0.5), keys, grid, n, log_weights=log_weights)

- `running`: running losses per position, or per vocabulary entry, by `weighted`.
- `amlm`: what the model gets wrong is hidden more often (Edman & Fraser 2025).
- `token_frequencies`: rare vocabulary entries are hidden more often, or frequent ones.
- `labels`: what the labels favour is hidden more often.
- `hard_patches`, `hard_share`: the hardest positions, more of them with time (Wang et al. 2023).
- `error_window`: a window that place and extent of the losses decide.
- `best_of`: the best of several candidate masks by any metric.

The temperature of `weighted` says how sharply the weights act: 1 draws in proportion to them, 0
hides the largest, and the larger it is (finite) the nearer the draw is to uniform. Whatever the
state holds, the cut hides its exact count.
"""

from maskjax.masking.adaptive import amlm, labels, running, token_frequencies
from maskjax.masking.adaptive.hard import hard_patches, hard_share
from maskjax.masking.adaptive.search import BestOf, best_of
from maskjax.masking.adaptive.windows import error_window

__all__ = [
    "BestOf", "amlm", "best_of", "error_window", "hard_patches", "hard_share", "labels", "running",
    "token_frequencies",
]  # fmt: skip
