"""Tags of words, entities of one or several (Devlin et al. 2019, BERT, section 5.3).

    python launch/train.py --config=configs/token_labels.py[:VARIANT]

Variants:

    default             source of Python's standard library, on every machine: which of its names
                        are functions, classes, arguments, imports, attributes? Its own ast and
                        tokenize say so exactly; these are no texts that people tagged. A
                        minute on two CPU cores, from scratch: F1 .857 on test
    smoke               a few small steps

Texts of your own: --config.data.source=conll:FILE, a word and its BIO tag a line, empty lines
between texts; with --config.data.validation_source and test_source, or shares that are held out.
The tag of a word stands at its first token; words beyond data.max_length are not
judged. "f1", "precision" and "recall" are those of entities as seqeval counts them, "accuracy" that
of words.

A pretrained encoder, what is trained, and what is hidden are said as in configs/text_classify.py:

    --config.init_from.path=DIR --config.data.tokenizer=DIR --config.model.size=base
"""

from ml_collections import ConfigDict

from maskjax.config import load, variant_of


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant: that of texts with classes, and tags in their place."""
    is_smoke = variant.endswith("smoke")
    config = load("text_classify.py", "smoke" if is_smoke else "", beside=__file__)
    with config.unlocked():
        del config.model.pool  # each token is read
    config.task = "token_labels"
    config.data.source = "names"
    if not is_smoke:
        config.data.max_length = 96
        config.total_steps = 600
        config.optimizer.warmup_steps = 60
    return variant_of(config, variant, {"default": lambda config: None}, lambda config: None)
