"""Values of a training's options that no training can use, said in one line before anything is built or written."""

import contextlib
import importlib
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jsonargparse
import yaml
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException

from avjepa.bounded_yaml import require_bounded
from avjepa.commands.configurations import load_config, read_yaml, require_file_of_channels
from avjepa.errors import UserError
from avjepa.files import read_text
from avjepa.ranges import LARGEST, LARGEST_SEED, require_number

PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")
"""Those that leave the weights in 32 bits: inputs are never converted, and a checkpoint fits every precision."""
_LOAD_YAML = jsonargparse.get_loader("yaml")


def bound_yaml() -> None:
    """Let jsonargparse refuse YAML that does not end (``bounded_yaml``), in files and on the command line."""
    jsonargparse.set_loader("yaml", _load_bounded, exceptions=(yaml.YAMLError,))


def _load_bounded(text: str) -> Any:
    require_bounded(text)
    return _LOAD_YAML(text)


def require_channels(arguments: Sequence[str]) -> None:
    """Raise for a file behind ``data.channels``, of the command line or of a file of it, that says no channels.

    Raises:
        UserError: naming the option, the file and what in it is wrong.
    """
    words = [word for argument in arguments for word in argument.split("=", 1)]
    for name, value in itertools.pairwise(words):
        if name == "--data.channels" and value != "null" and not value.lstrip().startswith("{"):  # or written out
            require_file_of_channels(Path(value), "--data.channels")
        elif name in ("--config", "-c"):
            _require_channels_in(Path(value), ("data", "channels"), name)


def _require_channels_in(path: Path, keys: Sequence[str], option: str) -> None:
    """Follow keys of a file, and files that it names for them, to the file of channels, if there is one."""
    value = read_yaml(path)
    for place, key in enumerate(keys):
        value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str) and place + 1 < len(keys):
            if (path.parent / value).is_file():
                _require_channels_in(path.parent / value, keys[place + 1 :], option)
            return
    if isinstance(value, str):
        require_file_of_channels(path.parent / value, f"{option} {path}: data.channels:")


def require_readable_files(arguments: Sequence[str]) -> None:
    """Raise for a file behind ``--config`` that is no YAML of a reasonable size, or that nobody should open, as a pipe.

    Raises:
        UserError: naming the file.
    """
    words = [word for argument in arguments for word in argument.split("=", 1)]
    for path in [value for name, value in itertools.pairwise(words) if name in ("--config", "-c")]:
        try:
            require_bounded(read_text(path))
        except FileNotFoundError as error:
            raise UserError(f"--config {path}: there is no such file; correct its path") from error
        except (OSError, ValueError, yaml.YAMLError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
            raise UserError(f"--config {path}: cannot be read as YAML in UTF-8 ({reason})") from error


def require_named_files(arguments: Sequence[str]) -> None:
    """Raise for a file that a file behind ``--config`` names, where it is not there or cannot be read.

    Raises:
        UserError: naming both.
    """
    words = [word for argument in arguments for word in argument.split("=", 1)]
    for name, value in itertools.pairwise(words):
        if name in ("--config", "-c"):
            load_config(value)


def require_known_keys(arguments: Sequence[str] | Mapping[str, Any], known: Collection[str]) -> None:
    """Raise for an option that does not exist and has an empty value: jsonargparse reports those with another one only.

    Args:
        arguments: of the command line, of whose configuration files the sections are looked at, or a configuration.
        known: the options.

    Raises:
        UserError: naming the option.
    """
    if isinstance(arguments, Mapping):
        given = [arguments]
    else:
        words = [word for argument in arguments for word in argument.split("=", 1)]
        files = [value for name, value in itertools.pairwise(words) if name in ("--config", "-c")]
        given = [content for file in files if isinstance(content := read_yaml(Path(file)), Mapping)]
    for content, section in itertools.product(given, ("model", "data", "trainer")):
        values = content.get(section)
        for key, value in values.items() if isinstance(values, Mapping) else ():
            if value == {} and f"{section}.{key}" not in known:
                raise UserError(f"{section}.{key}: there is no such option; see --help")


def require_sections(config: Namespace, defaults: Namespace) -> None:
    """Raise unless model, data and trainer hold their keys: a file may have put something else in their place.

    Args:
        config: what was parsed.
        defaults: of the same parser.

    Raises:
        UserError: naming the section that a file spoilt.
    """
    for name in ("model", "data", "trainer"):
        if not isinstance(config.get(name), Namespace) or vars(defaults[name]).keys() - vars(config[name]).keys():
            raise UserError(f"{name}: a configuration file gives it no keys and values; see --print_config")


def require_objects(value: Any, name: str = "") -> None:
    """Raise for an argument of a class that needs a value, or keys and values as options do, and is given none.

    Within the arguments of a class jsonargparse takes null for anything and anything for a dataclass.

    Args:
        value: what was parsed, or a part of it.
        name: of the part.

    Raises:
        UserError: naming the argument.
    """
    if not isinstance(value, Namespace):
        return
    if isinstance(value.get("class_path"), str) and isinstance(value.get("init_args"), Namespace):
        for argument, kind in _argument_types(value.class_path).items():
            given = value.init_args.get(argument, value)  # an argument that is not given has its default
            where = f"{name}.init_args.{argument}"
            if isinstance(kind, type) and is_dataclass(kind) and not isinstance(given, Namespace):
                raise UserError(f"{where}: needs keys and values as of {kind.__name__}, got {given!s:.80}; see --help")
            if given is None and not (kind is Any or type(None) in get_args(kind)):
                raise UserError(f"{where}: needs a value, got null; see --help")
    for key, item in vars(value).items():
        require_objects(item, f"{name}.{key}" if name else key)


def _argument_types(class_path: str) -> dict[str, Any]:
    module, _, name = class_path.rpartition(".")  # jsonargparse has loaded it
    try:
        return get_type_hints(getattr(importlib.import_module(module), name).__init__)
    except (NameError, AttributeError, TypeError):  # hints that name what is not there when it runs
        return {}


def require_usable(config: Namespace) -> None:
    """Raise for what Lightning lets through and training then trips over.

    Raises:
        UserError: a number is NaN, infinite or larger than any that means something, the seed is not NumPy's, the
            precision is not one of ``PRECISIONS``, or a number of steps, nodes or batches counts nothing.
    """
    _require_numbers(config.as_dict(), "")
    require_number("seed_everything", int(config.seed_everything), at_least=0, at_most=LARGEST_SEED)
    require_no_null(config.data)
    require_number("checkpoint_every", config.checkpoint_every, at_least=1)
    trainer = config.trainer
    require_number("trainer.accumulate_grad_batches", trainer.accumulate_grad_batches, at_least=1)
    require_number("trainer.num_nodes", trainer.num_nodes, at_least=1)
    if trainer.limit_train_batches is not None:
        require_number("trainer.limit_train_batches", trainer.limit_train_batches, above=0)
    if trainer.limit_predict_batches not in (None, 1.0) or isinstance(trainer.limit_predict_batches, int):
        raise UserError(
            f"trainer.limit_predict_batches: {trainer.limit_predict_batches} leaves out keyframes of the evaluated "
            "split, which is scored as a whole; leave it out, or name a smaller eval_split"
        )
    if trainer.gradient_clip_val is not None:
        require_number("trainer.gradient_clip_val", trainer.gradient_clip_val, at_least=0)
    if trainer.precision is not None and str(trainer.precision) not in (*PRECISIONS, "32", "16", "bf16"):
        raise UserError(f"trainer.precision: {trainer.precision!r} is none of {', '.join(PRECISIONS)}; choose one")


_NEEDED = (
    "dataroot", "version", "train_split", "eval_split", "sensors", "lidar_sweeps", "radar_sweeps",
    "image_size", "batch_size", "workers", "seed", "on_bad_file",
)  # fmt: skip
"""Options of ``data`` that cannot be null, of those that a data module may have."""


def require_no_null(data: Namespace) -> None:
    """Raise for a null in ``data`` where a value is needed.

    Of a configuration that is no file, jsonargparse does not hold a null against its type.
    """
    if null := [name for name in _NEEDED if name in data and data[name] is None]:
        raise UserError(f"data.{null[0]}: needs a value, got null; see --help")


def _require_numbers(value: Any, name: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _require_numbers(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for item in value:
            _require_numbers(item, name)
    elif isinstance(value, int | float) and not -LARGEST <= value <= LARGEST:  # NaN neither
        raise UserError(f"{name}: must be a finite number, at most {LARGEST:g}, got {value!s:.20}")


@contextlib.contextmanager
def blamed_on(option: str, *kinds: type[Exception]) -> Iterator[None]:
    """Errors of these kinds that come of an option's value, as ``UserError``s that name it.

    What is built from a configuration checks its own arguments, in the words of whoever wrote it: Lightning with
    ``MisconfigurationException``, the standard library and PyTorch with ``ValueError`` and ``TypeError``. Of an
    argument that may be one thing or another, jsonargparse wraps what building the one said, a ``UserError`` too.
    """
    try:
        yield
    except UserError:
        raise
    except kinds as error:
        cause = error.__cause__
        while cause is not None:
            if isinstance(cause, UserError):
                raise UserError(str(cause)) from error
            cause = cause.__cause__
        reason = " ".join(str(error).split())
        raise UserError(f"{option}: {reason or type(error).__name__}; change it (see --help)") from error


WHILE_BUILDING = (
    MisconfigurationException, ValueError, TypeError, ImportError, AttributeError, RuntimeError, OverflowError,
)  # fmt: skip
"""Kinds of errors that constructors raise over their arguments."""
