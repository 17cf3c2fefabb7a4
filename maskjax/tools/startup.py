"""What every launcher does first and last: flags, the compilation cache, errors in one line."""

import errno
import importlib
import importlib.util
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import jax
from absl import app, flags, logging
from ml_collections import ConfigDict

from maskjax import preemption
from maskjax.config import flatten, load
from maskjax.keys import KEYS, RENAMED
from maskjax.spelling import did_you_mean, unknown_path
from maskjax.terminal import say
from maskjax.tools.cluster import Cluster, join
from maskjax.tools.flag_values import of_number, without_nones
from maskjax.training import cpu

USER_ERROR = 2
_PACKAGE = str(Path(__file__).parents[1])
_FREE_SPACE = "free some space; the same command then goes on from the newest checkpoint"
_TO_MEND = {
    errno.ENOENT: "give a path that exists",
    errno.EACCES: "give a path that you may use",
    errno.EPERM: "give a path that you may use",
    errno.EROFS: "give a path that can be written",
    errno.ENOTDIR: "a part of this path is a file; give another",
    errno.EISDIR: "give the path of a file",
    errno.EEXIST: "give another path",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EMFILE: "raise the limit with ulimit -n or lower data.num_workers",
}


def default_workdir(config_path: str) -> str:
    """Name the folder of a run whose flag --workdir is not given.

    Args:
        config_path: the value of --config, a file and where wanted a colon and a variant.

    Example:
        >>> default_workdir("configs/mae.py:smoke"), default_workdir("configs/mae.py")
        ('runs/mae-smoke', 'runs/mae-default')
    """
    path, _, variant = config_path.partition(":")
    return f"runs/{Path(path).stem}-{variant or 'default'}"


def prepare(cluster: Cluster | None = None) -> None:
    """Set up JAX for a launcher, before it computes anything.

    Compiled programs are kept in the user's cache folder, or in JAX_COMPILATION_CACHE_DIR, and
    where JAX has no accelerator freed memory is kept (`training.cpu`).

    Args:
        cluster: the other processes to join, None for none.

    Raises:
        ValueError: there is no such cluster, or JAX has no such devices as JAX_PLATFORMS asks for.
    """
    _enable_compilation_cache()
    jax.config.update("jax_enable_x64", False)  # or JAX_ENABLE_X64=1 would change every number
    if _will_run_on_cpu():
        cpu.keep_freed_memory()
    if cluster is not None:
        join(cluster)
    try:
        jax.devices()
    except RuntimeError as error:
        raise ValueError(f"JAX cannot start ({error}); set JAX_PLATFORMS=cpu or unset it") from None


def _will_run_on_cpu() -> bool:
    """Whether JAX can but choose the CPU backend, found out without starting any."""
    platforms = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
    if platforms:
        return platforms.split(",")[0] == "cpu"
    plugins = ("jax_plugins", "libtpu")  # JAX's accelerators come in packages of these names
    return not any(importlib.util.find_spec(name) for name in plugins)


def _enable_compilation_cache() -> None:
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        if not os.path.isabs(caches):  # there is no home
            caches = os.path.join(tempfile.gettempdir(), f"cache-of-{os.getuid()}")
        jax.config.update("jax_compilation_cache_dir", os.path.join(caches, "maskjax", "xla"))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def run(main: Callable[[], None]) -> None:
    """Parse the flags and call `main`; `guard` says with which exit codes it ends."""

    def parsed(argv: list[str]) -> None:
        if len(argv) > 1:
            _fail(f"unexpected argument {argv[1]!r}: flags are written --name=value")
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # Orbax tells of every file otherwise
        guard(main)

    app.run(parsed, flags_parser=_parse)


def guard(main: Callable[[], None]) -> None:
    """Call `main` and turn what a user can act on into one line and an exit code.

    Exit codes: 0, done. 2, the user can mend it, and a line on stderr says how. 75, the run was
    told to stop and is saved: the same command resumes it. Anything else is a bug and keeps its
    traceback.
    """
    try:
        main()
    except preemption.Preempted as stopped:
        say(str(stopped))
        sys.exit(preemption.EXIT_CODE)
    except Exception as error:
        message = _message_for_the_user(error)
        if message is None:
            raise
        notes = getattr(error, "__notes__", ())  # those of JAX and Grain begin with a rule
        _fail("; ".join([message, *(note for note in notes if not note.startswith("---"))]))


def _fail(message: str) -> NoReturn:
    # Line by line, for a path may hold two spaces.
    lines = filter(None, map(str.strip, message.splitlines()))
    say("error: " + " ".join(lines), sys.stderr)
    sys.exit(USER_ERROR)


def _message_for_the_user(error: Exception) -> str | None:
    """What a user can act on: this package's own words, or a path or a memory that is too small."""
    if isinstance(error, OSError) and error.errno in _TO_MEND:
        what = f"{error.filename or 'a file'}: {error.strerror}"
        return f"{what}; {_TO_MEND[error.errno]}"
    text = str(error)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE):
        if os.strerror(number) in text:  # how checkpoints say it
            path = re.search(r'local file "([^"]+)"', text)
            what = f"{path[1] if path else 'a file'}: {os.strerror(number)}"
            return f"{what}; {_TO_MEND[number]}"
    if "Failed to fsync" in text:  # how checkpoints say that the file system does not offer it
        reason = text.splitlines()[0]
        return f"a checkpoint cannot be made to last ({reason}); use a --workdir elsewhere"
    is_of_files = "Error writing" in text or "os_error_code" in text
    if isinstance(error, MemoryError) or ("RESOURCE_EXHAUSTED" in text and not is_of_files):
        reason = (text.splitlines() or ["MemoryError"])[0]
        return (
            f"memory is too small ({reason}); lower batch_size or the model's size, or set "
            "optimizer.accumulate_steps or model.remat=True"
        )
    is_ours = traceback.extract_tb(error.__traceback__)[-1].filename.startswith(_PACKAGE)
    if isinstance(error, FileNotFoundError) or (
        is_ours and isinstance(error, ValueError | FloatingPointError)
    ):
        return str(error)
    return None


def optional(module: str, extra: str) -> ModuleType:
    """Import a module of this package that needs more packages than this one does.

    Args:
        module: its dotted path.
        extra: of pyproject.toml, which names those packages.

    Raises:
        ValueError: one is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("maskjax"):
            raise
        hint = f"pip install -e '.[{extra}]' installs what is needed"
        raise ValueError(f"the package {error.name} is not installed: {hint}") from None


def whole_numbers(flag: str, words: Sequence[str]) -> list[int]:
    """Read a flag that lists numbers.

    Args:
        flag: its name, for the message.
        words: what stands between the commas.

    Raises:
        ValueError: one is no whole number of at least 1.

    Example:
        >>> whole_numbers("batch_sizes", ["8", "16"])
        [8, 16]
    """
    for word in words:
        if not word.strip().isdecimal() or int(word) < 1:
            raise ValueError(f"--{flag}: {word!r} must be a whole number of at least 1, as in 8,16")
    return [int(word) for word in words]


def _parse(argv: list[str]) -> list[str]:
    """Parse flags with one-line errors, among them one for a config key that is not known."""
    if "config" in flags.FLAGS and not any(arg.startswith("--help") for arg in argv):
        check_config(argv)
    argv, nones = without_nones(argv)
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        missing = re.match(r"flag --(\w+)=None: ", str(error))
        _fail(f"give --{missing[1]}=..." if missing else of_number(str(error)))
    if nones:
        config: Any = flags.FLAGS["config"].value
        config.update_from_flattened_dict(dict.fromkeys(nones))
    return rest


def _value_of(flag: str, argv: list[str]) -> str | None:
    """Find the last value of a flag that is not parsed yet: --flag=value or --flag value."""
    found = None
    for here, after in zip(argv, [*argv[1:], None], strict=True):
        name, is_joined, value = here.lstrip("-").partition("=")
        if here.startswith("-") and name == flag:
            found = value if is_joined else after
    return found


def check_config(argv: list[str]) -> None:
    """Refuse a missing config, an unknown variant and unknown keys, naming what is known.

    Args:
        argv: the command line, its first word included.

    Raises:
        SystemExit: with code 2, after one line on stderr.
    """
    config_path = _value_of("config", argv)
    if not config_path:
        _fail("give a config: --config=configs/mae.py or --config=configs/mae.py:smoke")
    path = Path(config_path.partition(":")[0])
    if not path.is_file():
        _fail(f"config file {path} does not exist{_known_configs(path)}")
    make_importable(path.parent)
    keys = flatten(_load(config_path, path))
    for argument in argv:
        override = re.match(r"--?(?:no)?config\.([^=]+)", argument)
        if not override:
            continue
        name = override[1]
        if inner := [key for key in keys if key.startswith(f"{name}.")]:
            _fail(f"{name!r} is a section: set its keys one by one, --config.{inner[0]}=...")
        if name not in keys and name in KEYS:
            _fail(
                f"config file {path} has no key {name!r}: let it begin with maskjax.config.base(), "
                f"which has every key, or add config.{name} = {KEYS[name].default!r} to it"
            )
        if name in RENAMED:
            _fail(f"config key {name!r} is {RENAMED[name]!r} now: --config.{RENAMED[name]}=...")
        if name not in keys:
            _fail(unknown_path("config key", name, keys))


def make_importable(folder: Path) -> None:
    """Let `config.task` name modules of a folder and of the working directory."""
    for place in (str(folder.resolve()), os.getcwd()):
        if place not in sys.path:
            sys.path.append(place)


def _known_configs(path: Path) -> str:
    """Name the config files beside a path that is none, the most similar one first."""
    folder = next((it for it in (path, path.parent) if it.is_dir()), Path("configs"))
    known = sorted(str(file) for file in folder.glob("*.py"))
    return f"{did_you_mean(str(path), known)}; known: {', '.join(known) or 'none'}"


def _load(config_path: str, path: Path) -> ConfigDict:
    """Load a config as flags do, `path` without its variant; what it raises becomes one line."""
    try:
        config = load(config_path)
    except ValueError as error:  # a variant that get_config refuses
        _fail(str(error))
    except Exception as error:  # whatever somebody's own file raises
        _fail(f"config file {path} cannot be loaded: {type(error).__name__}: {error}")
    if not isinstance(config, ConfigDict):
        _fail(f"{path}: get_config returns no ConfigDict but {type(config).__name__}")
    return config
