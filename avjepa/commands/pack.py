"""``avjepa pack``."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avjepa.errors import UserError, counted

DESCRIPTION = """Write what a training reads into a few large files: merged LiDAR and radar sweeps in the frame of each
moment, and images at the training's size. --data.cache OUT of pretrain and finetune, and --cache OUT of
label-efficiency, then read them instead of the sensor files; samples are the same to the bit. The same command goes on
where it was interrupted, and writes damaged files anew."""
_SHORTHANDS = ("--data", "--version", "--on_bad_file")
_OF_NO_ACCOUNT = (
    "augmentation", "batch_size", "cache", "class_balanced", "clips", "gt_sampling", "independent_views", "steps",
)  # fmt: skip
"""Arguments of data modules that change nothing of what is packed."""


def options_of(arguments: Sequence[str]) -> Any:
    """The options; ``data`` is the data module of the training whose ``--config`` is given, or of a pre-training.

    Raises:
        UserError: an option or a key is unknown, missing, or of the wrong type; a file cannot be read.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    from avjepa.commands.option_checks import WHILE_BUILDING, blamed_on, bound_yaml, require_channels
    from avjepa.commands.parsing import readable
    from avjepa.commands.shorthands import SHORTHANDS, epilogue, expanded
    from avjepa.data.loading.detection_datamodule import DetectionDataModule
    from avjepa.data.loading.pretrain_datamodule import PretrainDataModule

    config = _config(arguments)
    require_channels(arguments)
    of_pretraining = "objective" in config["model"] or not config["model"]
    module = PretrainDataModule if of_pretraining else DetectionDataModule
    parser = ArgumentParser(
        prog="avjepa pack",
        description=DESCRIPTION,
        epilog=epilogue(_SHORTHANDS),
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", help="configuration of a training, of which the section data says what to pack")
    parser.add_argument("--out", type=Path, required=True, help="folder of the cache")
    parser.add_argument("--workers", type=int, default=2, help="parallel processes")
    parser.add_class_arguments(module, "data", skip={*_OF_NO_ACCOUNT, "workers"})
    own = [f"--data.{key}={_text(value)}" for key, value in config["data"].items() if key not in _OF_NO_ACCOUNT]
    own = [argument for argument in own if not argument.startswith("--data.workers=")]
    bound_yaml()
    try:
        with blamed_on("configuration", *WHILE_BUILDING):
            return parser.instantiate_classes(parser.parse_args([*own, *expanded(arguments)]))
    except ArgumentError as error:
        shorthands = {short: SHORTHANDS[short] for short in _SHORTHANDS}
        raise UserError(readable(error, parser.get_defaults().keys(), shorthands)) from error


def _config(arguments: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The sections model and data of the configuration that is named, empty without one."""
    from avjepa.commands.configurations import load_config
    from avjepa.commands.option_checks import require_readable_files

    require_readable_files(arguments)
    words = [word for argument in arguments for word in argument.split("=", 1)]
    sections: dict[str, Mapping[str, Any]] = {"model": {}, "data": {}}
    for path in [value for name, value in itertools.pairwise(words) if name == "--config"]:
        content = load_config(path)
        for name in sections:
            section = content.get(name) if isinstance(content, dict) else None
            if not isinstance(section, dict):
                raise UserError(f"--config {path}: has no section {name!r}; give the configuration of a training")
            sections[name] = section
    return sections


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def run(arguments: Sequence[str]) -> None:
    """Pack a cache and say what it is."""
    from avjepa.commands.shipped import with_configuration

    options = options_of(with_configuration(arguments, "pretrain"))

    from avjepa.data.packed.packing import pack
    from avjepa.training.console import quiet_lightning

    quiet_lightning()
    data, out, workers = options.data, options.out, options.workers
    if workers < 1:
        raise UserError(f"--workers {workers}: at least one process is needed")
    source = data.open()
    data.setup()
    moments = data.all_moments()
    manifest = pack(out, source, data.all_inputs(), moments, workers, data.on_bad_file == "skip")
    size = sum(path.stat().st_size for path in out.iterdir() if path.is_file())
    shards = counted(manifest.shards(), "shard")
    print(f"{out}: {counted(len(moments), 'moment')} in {shards}, {size / 2**20:,.0f} MiB; read by --data.cache {out}")
