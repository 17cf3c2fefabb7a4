"""Masked language models of texts (Devlin et al. 2019, BERT; Liu et al. 2019; Warner et al. 2024).

    python launch/train.py --config=configs/mlm.py[:VARIANT]

Variants:

    default             Python's own documentation, 1.2 million characters of English that are on
                        every machine, a vocabulary of 1024 pieces trained on it, and a ModernBERT
                        of 2 blocks of width 128, whose rotary positions find neighbours sooner than
                        a learned table; 30 % hidden, all behind the mask token. 2400 steps, 15
                        epochs, 380 seconds of CPU time, under 4 minutes on two cores: on held-out
                        documents (validation) accuracy .324, perplexity 30.1; unigrams .038 and
                        331, bigrams .191 and 69.1
    smoke               the same for a few steps: does everything work?
    bert_base           BERT base on texts of your own, --config.data.source=text:PATH, with a
                        tokenizer of launch/tokenize.py or a published one in data.tokenizer
    roberta_base        RoBERTa base: fresh masks, bytes, rows that cross documents
    modernbert_base     ModernBERT base: rotary positions, local attention, 30 % hidden, packed rows

Held-out accuracy and perplexity are those of hidden tokens, 15 % at random behind the mask token,
the same ones for every run on the same rows; beside them stand a unigram and a bigram model that
counted the same training texts.

Other masks (maskjax/tasks/README.md), by what follows the command above:

    static, ten a row   --config.mask.copies=10; 0 = a fresh one in each epoch
    30 % to 15 %        --config.mask.schedule=linear --config.mask.final_ratio=0.15
    whole words, spans  --config.mask.rule=whole_word, or spans, t5_spans, sliding
    collocations        --config.mask.rule=whole_word --config.data.units=pmi:2000
    loss-guided         --config.mask.rule=weighted, or hard_patches, error_window: by running
                        losses of ids, or of places by --config.mask.entries=positions
    accuracies (AMLM)   --config.mask.rule=weighted --config.mask.follows=accuracies
    rare tokens         --config.mask.rule=weighted --config.mask.follows=frequencies
    label-driven        --config.mask.rule=weighted --config.mask.follows=labels
                        --config.data.source=docstrings --config.data.layout=whole
                        --config.mask.labels.positive="(0,)", or other texts with classes
    expressions         --config.mask.rule=whole_word --config.mask.follows=kinds
                        --config.data.kinds="(('number', '^[0-9]+$'),)"
                        --config.mask.kinds.weights="(('number', 5.0),)"
    parts of speech     --config.mask.rule=whole_word --config.mask.follows=kinds
                        --config.data.source=conll:FILE --config.data.layout=whole
                        --config.data.kind_column=2 --config.mask.kinds.weights="(('VERB', 5.0),)",
                        a column of names or numbers, one a word
"""

from ml_collections import ConfigDict

from maskjax.config import base, masks, variant_of

TEXTS = "text:texts"  # a folder with .txt files


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant."""
    config = base(
        task="mlm",
        batch_size=16,
        total_steps=2400,
        **{
            "data.source": "prose",
            "optimizer.base_lr": 3.2e-2,
            "optimizer.b2": 0.98,
            "optimizer.weight_decay": 0.01,
            "optimizer.warmup_steps": 100,
            "optimizer.clip_norm": 1.0,
            "eval.batch_size": 32,
        },
    )
    config.data.tokenizer = "wordpiece:1024"  # or a file; "" = bytes: maskjax/data/README.md
    config.data.max_length = 128
    config.data.layout = "packed"  # or "padded", "joined", "whole"
    config.data.document = "blank_line"  # what ends a document of text:PATH
    config.data.text_column = "text"  # of csv:FILE and jsonl:FILE
    config.data.pair_column = ""
    config.data.label_column = ""
    config.data.units = ""  # what rules hide as a whole: words; or "pmi:2000", collocations
    config.data.kinds = ()  # pairs of a name and an expression, for mask.follows=kinds
    config.data.kind_column = 0  # of conll:FILE, such as the part of speech
    config.data.buckets = ()  # lengths of rows below max_length, of "padded" and "whole"
    config.data.index = ""  # where tokens are kept; "" = the user's cache

    config.mask = masks(ratio=0.3, fill="token")  # what is hidden: maskjax/keys.py
    config.mask.split = (1.0, 0.0, 0.0)  # become the mask token, any token, stay
    config.mask.eval_ratio = 0.15  # of evaluations, always at random

    config.model = ConfigDict()
    config.model.form = "modernbert"  # or "bert", "roberta"
    config.model.size = "tiny"  # "mini", "small", "base", "large"
    config.model.width = 0  # of the next four 0 is what the size says
    config.model.depth = 0
    config.model.heads = 0
    config.model.hidden = 0  # width between the layers of the MLPs
    config.model.epsilon = 0.0  # of LayerNorms; 0 = the form's
    config.model.window = 0  # tokens that local blocks of modernbert see; 0 = 128
    config.model.global_every = 0  # of so many blocks one sees everything; 0 = 3 in modernbert
    config.model.max_length = 0  # rows of the table of positions; 0 = data.max_length
    config.model.dropout = 0.0
    config.model.dtype = "float32"  # compute; parameters are always float32
    config.model.attention = "xla"  # or "blockwise", "cudnn"
    config.model.remat = False
    # Heads that see less in training (maskjax/tasks/head_masks.py).
    config.model.near_heads = 0  # of each block look near at first, at the end everywhere
    config.model.near_window = 8  # tokens on either side that they see at first
    config.model.drop_heads = 0.0  # chance that a head is left out of an example
    return variant_of(config, variant, VARIANTS, _smoke)


def _smoke(config: ConfigDict) -> None:
    """Shrinks a config to a few small steps on embedded data."""
    config.data.source = "prose"
    config.data.tokenizer = ""
    config.data.max_length = 32
    config.batch_size = 16
    config.total_steps = 6
    config.log_every_steps = 2
    config.save_every_steps = 3
    config.eval.batch_size = 64
    config.optimizer.warmup_steps = 2
    config.figures.num_examples = 4
    config.model.size = "tiny"
    config.model.max_length = 0


def _of_ones_own(config: ConfigDict) -> None:
    """Base-sized models on texts of one's own."""
    config.data.source = TEXTS
    config.mask.ratio = 0.15
    config.mask.split = (0.8, 0.1, 0.1)
    config.model.form = "bert"
    config.data.tokenizer = "wordpiece:30522"
    config.model.size = "base"
    config.data.max_length = 512
    config.model.max_length = 512
    config.model.dropout = 0.1
    config.model.dtype = "bfloat16"
    config.batch_size = 256
    config.total_steps = 100_000
    config.save_every_steps = 5000
    config.optimizer.base_lr = 1e-4
    config.optimizer.b2 = 0.999
    config.optimizer.warmup_steps = 10_000


def _bert_base(config: ConfigDict) -> None:
    _of_ones_own(config)
    config.mask.copies = 10  # dupe_factor of the released code


def _roberta_base(config: ConfigDict) -> None:
    _of_ones_own(config)
    config.data.tokenizer = "byte_bpe:50265"
    config.data.layout = "joined"  # full sentences, across documents
    config.model.form = "roberta"
    config.optimizer.b2 = 0.98
    config.optimizer.base_lr = 1.5e-4


def _modernbert_base(config: ConfigDict) -> None:
    _of_ones_own(config)
    config.data.tokenizer = "byte_bpe:50368"
    config.mask.ratio = 0.3
    config.model.form = "modernbert"
    config.model.dropout = 0.0
    config.optimizer.base_lr = 2e-4
    config.optimizer.b2 = 0.98


VARIANTS = {
    "default": lambda config: None,
    "bert_base": _bert_base,
    "roberta_base": _roberta_base,
    "modernbert_base": _modernbert_base,
}
