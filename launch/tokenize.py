"""Train a tokenizer on texts of your own.

`python launch/tokenize.py --input=texts/ --output=tokenizer.json`, whose --output is then
`--config.data.tokenizer`. The same texts give the same file.
"""

if __name__ == "tokenize":
    # This folder is the first that Python looks for modules in, and the standard library has one
    # of this name, which inspect and others import: give them that.
    import importlib.util
    import os
    import sys

    path = os.path.join(os.path.dirname(os.__file__), "tokenize.py")
    spec = importlib.util.spec_from_file_location(__name__, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[__name__] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
else:
    from maskjax import signals

    signals.leave_when_told()  # the other imports take seconds

    from absl import flags

    from maskjax.data.text import training
    from maskjax.paths import local_path
    from maskjax.terminal import say
    from maskjax.tools import startup
    from maskjax.tools.tokenizers import train_tokenizer

    _INPUT = flags.DEFINE_string(
        "input", None, "Text file, folder, or a source: jsonl:FILE, csv:FILE, prose.", required=True
    )
    _OUTPUT = flags.DEFINE_string("output", None, "The tokenizer.json to write.", required=True)
    _KIND = flags.DEFINE_enum("kind", training.KINDS[0], training.KINDS, "What is trained.")
    _SIZE = flags.DEFINE_integer("size", 8192, "Tokens of the vocabulary, special ones included.")
    _CASED = flags.DEFINE_bool("cased", False, "Whether capital letters and accents stay.")
    _TEXT = flags.DEFINE_string(
        "text_column", "text", "What holds the text, of JSON lines and CSV."
    )

    def main() -> None:
        """Train, write, and say what was made."""
        output = local_path(_OUTPUT.value, "--output")
        options = {"is_cased": _CASED.value, "text_column": _TEXT.value}
        say(train_tokenizer(_INPUT.value, output, _KIND.value, _SIZE.value, **options))

    if __name__ == "__main__":
        startup.run(main)
