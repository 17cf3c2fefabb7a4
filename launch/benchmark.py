"""Time a config: `python launch/benchmark.py --config=configs/mae.py:imagenet_vit_b16`.

Prints step time, examples/s, FLOP/s and the share of the machine's measured matrix-product peak for
each batch size of `--batch_sizes`. Inputs are random: no data are read where the config gives
their size and channels. With `--masks` instead how long masks take, for 4096 images and 256 texts
of 512 tokens, beside the config's step and a BERT-base-sized one; the first of `--batch_sizes` is
the batch of those steps.
"""

from maskjax import signals

signals.leave_when_told()  # the other imports take seconds

from absl import flags
from ml_collections import config_flags

from maskjax.config import complete
from maskjax.tools import benchmark, mask_benchmark, startup

_CONFIG = config_flags.DEFINE_config_file("config", None, "Config file[:variant].")
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", None, "Batch sizes; the config's by default.")
_REPEATS = flags.DEFINE_integer("repeats", 10, "Timed steps, after two to warm up.", lower_bound=1)
_SHAPE = flags.DEFINE_list("shape", None, "Shape of an example, such as 32,32,3.")
_MASKS = flags.DEFINE_bool("masks", False, "Time every masking rule beside a training step.")


def main() -> None:
    """Time each batch size and print its row."""
    startup.prepare()
    config = complete(_CONFIG.value)
    sizes = startup.whole_numbers("batch_sizes", _BATCH_SIZES.value or [str(config.batch_size)])
    shape = tuple(startup.whole_numbers("shape", _SHAPE.value or []))
    shape = shape or benchmark.example_shape(config)
    benchmark.check(config, shape, sizes)
    if _MASKS.value:
        lines = mask_benchmark.report(
            config, shape, step_batch_size=sizes[0], repeats=_REPEATS.value
        )
        for line in lines:
            print(line, flush=True)
        return
    peak = benchmark.matmul_peak(benchmark.compute_dtype(config), _REPEATS.value)
    print(benchmark.header(peak))
    for batch_size in sizes:
        config.batch_size = batch_size
        timing = benchmark.time_step(config, shape, repeats=_REPEATS.value, peak=peak)
        print(benchmark.row(timing), flush=True)


if __name__ == "__main__":
    startup.run(main)
