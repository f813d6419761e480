"""What ``pretrain`` and ``finetune`` share: LightningCLI with one output folder and errors in one line."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from avjepa.commands.begun_folder import CONFIGURATION, as_it_was_without_checkpoint
from avjepa.commands.option_checks import (
    WHILE_BUILDING,
    blamed_on,
    bound_yaml,
    require_channels,
    require_known_keys,
    require_named_files,
    require_objects,
    require_readable_files,
    require_sections,
    require_usable,
)
from avjepa.commands.parsing import readable
from avjepa.commands.resuming import require_resumable
from avjepa.commands.shipped import ADDRESSED, with_configuration
from avjepa.commands.shorthands import SHORTHANDS, epilogue, expanded
from avjepa.commands.splits import scenes_of
from avjepa.errors import UserError, counted
from avjepa.files import remove_leftovers, write_text
from avjepa.locking import locked
from avjepa.parsed_values import parsed
from avjepa.provenance import provenance
from avjepa.ranges import require_number
from avjepa.training.allocator import keep_freed_memory
from avjepa.training.checkpoint_contents import require_same_model
from avjepa.training.checkpoints import LAST, last_checkpoint, load_checkpoint
from avjepa.training.console import quiet_lightning, status
from avjepa.training.defaults import CHECKPOINTS, default_callbacks, default_loggers, default_plugins
from avjepa.training.precision import suited_precision
from avjepa.training.provenance import RecordProvenance
from avjepa.training.restoring import Restored

BUNDLE = "backbone"
"""Folder of the backbone bundle below the run's folder."""

VALIDATION_KEYS = ("limit_val_batches", "num_sanity_val_steps", "val_check_interval", "check_val_every_n_epoch")
ASK_FOR_VALIDATION = (
    "is not set by hand; avjepa finetune validates on the split --data.validation_split every --validate_every steps"
)

_FEW_PROCESSES = 8
"""Any machine may try these on its CPU, however few cores it has."""


class TrainingCLI(LightningCLI):
    """Builds trainer, module and datamodule from YAML and options; training is started by the command.

    Attributes:
        description: what the command does, for its ``--help``.

    Args:
        name: the command's name.
        model_class: the LightningModule; its constructor arguments are the keys below ``model``.
        datamodule_class: the LightningDataModule; its constructor arguments are the keys below ``data``.
        arguments: the command line behind the command's name, or a whole configuration as plain values, with the keys
            of the YAML.

    Raises:
        UserError: an option or a key of the YAML is unknown, missing, or of the wrong type; a file cannot be read.
    """

    description: str

    def __init__(
        self,
        name: str,
        model_class: type[LightningModule],
        datamodule_class: type[LightningDataModule],
        arguments: Sequence[str] | Mapping[str, Any],
    ) -> None:
        self.name = name
        self.source = "configuration"  # what an error of a constructor is laid to
        self.restored = Restored()
        self._provenance: dict[str, Any] | None = None
        quiet_lightning()
        keep_freed_memory()
        bound_yaml()
        try:
            super().__init__(
                model_class,
                datamodule_class,
                save_config_callback=None,
                trainer_defaults={
                    "use_distributed_sampler": False,
                    "enable_model_summary": False,
                    "log_every_n_steps": 10,
                },
                seed_everything_default=0,
                parser_kwargs={
                    "prog": f"avjepa {name}",
                    "description": self.description,
                    "exit_on_error": False,
                    "allow_abbrev": False,
                    "epilog": epilogue(),
                },
                args=dict(arguments)
                if isinstance(arguments, Mapping)
                else with_configuration(expanded(arguments), ADDRESSED[name]),
                run=False,
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
            )
        except ArgumentError as error:
            raise UserError(readable(error, self.parser.get_defaults().keys(), SHORTHANDS)) from error

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Options of the command beside those of trainer, model and data."""
        parser.add_argument("--out", type=str, required=True, help="folder for checkpoints, logs and results")
        parser.add_argument(
            "--ckpt_path", type=str, default=None, help="a checkpoint to resume from; 'last' is the newest one in --out"
        )
        parser.add_argument("--checkpoint_every", type=int, default=500, help="optimiser steps between two checkpoints")
        parser.add_argument(
            "--bundles",
            type=dict[str, str] | None,
            default=None,
            metavar="SENSOR=DIR,...",
            help="folders of pre-trained bundles that the branches of a fused backbone start from, of any of the "
            "sensors, as in lidar=runs/lidar/backbone,radar=runs/radar/backbone",
        )
        for action in parser._actions:  # jsonargparse calls it a configuration file of the section, see SHORTHANDS
            if action.dest == "data":
                action.metavar, action.help = "DIR", "root of the dataset; the same as --data.dataroot"
        parser.link_arguments("seed_everything", "data.seed")
        parser.link_arguments("seed_everything", "model.seed")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse without LightningCLI's warning that ``sys.argv`` is not used."""
        if not isinstance(args, dict):
            require_readable_files(args)
            require_channels(args)
            require_named_files(args)
        require_known_keys(args, {action.dest for action in parser._actions})
        with blamed_on("configuration", *WHILE_BUILDING):
            self.config = parsed(parser, args) if isinstance(args, dict) else parser.parse_args(args)
        require_sections(self.config, parser.get_defaults())
        require_objects(self.config)
        require_usable(self.config)

    def instantiate_classes(self) -> None:
        """Build everything; what a constructor has against its arguments is one line."""
        with blamed_on(self.source, *WHILE_BUILDING):
            self.config_init = self.parser.instantiate_classes(self.config)
        self.datamodule, self.model = self.config_init.data, self.config_init.model
        self.trainer = self.instantiate_trainer()

    def callbacks(self) -> list[Callback]:
        """What this kind of training adds to the callbacks of every run."""
        return []

    def validation(self) -> dict[str, Any]:
        """The trainer's arguments that say when it validates: never, not even to check that it could."""
        return {"limit_val_batches": 0, "num_sanity_val_steps": 0}

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer with what every run has beside what is configured; loggers give way to configured ones."""
        self.datamodule.prepare_data()  # a bad dataset is an error before anything is written
        self.trainer_defaults["callbacks"] = [
            *default_callbacks(self.out, self.config.checkpoint_every),
            *self.callbacks(),
            RecordProvenance(self.out, self.provenance),
            self.restored,
        ]
        configured = self.config_init.trainer
        plugins = configured.plugins if isinstance(configured.plugins, list) else [configured.plugins]
        kwargs["plugins"] = [plugin for plugin in plugins if plugin is not None] + default_plugins()
        for key in VALIDATION_KEYS:
            if getattr(configured, key) != self.parser.get_default(f"trainer.{key}"):
                raise UserError(f"trainer.{key}: {ASK_FOR_VALIDATION}")
        kwargs |= self.validation()
        if configured.logger is None:
            kwargs["logger"] = default_loggers(self.out)
        kwargs |= self._suited_precision()
        options = ("accelerator", "devices", "strategy", "precision")
        chosen = ", ".join(f"{key} {configured[key]}" for key in options)
        with blamed_on(f"trainer ({chosen})", *WHILE_BUILDING):
            trainer = super().instantiate_trainer(**kwargs)
        if isinstance(trainer.accelerator, CPUAccelerator):
            most = max(_FEW_PROCESSES, os.cpu_count() or 1)
            require_number("trainer.devices (processes on the CPU)", trainer.num_devices, at_least=1, at_most=most)
        return trainer

    def _suited_precision(self) -> dict[str, Any]:
        """The trainer's argument where another precision than the configured one is used; said in one line."""
        configured = self.config_init.trainer
        on_cpu = configured.accelerator == "cpu" or (
            configured.accelerator == "auto" and not torch.accelerator.is_available()
        )
        asked = str(configured.precision)
        used = suited_precision(asked, on_cpu)
        if used == asked:
            return {}
        _say_once(f"trainer.precision {used} in the place of {asked}, which this processor has no instructions for")
        return {"precision": used}

    @contextlib.contextmanager
    def folder_held(self) -> Iterator[None]:
        """Keep other runs out of the folder within the block; what killed ones left half-written is removed.

        The first process does so for all processes of the training.

        Raises:
            UserError: another run is writing the folder.
        """
        if not self.trainer.is_global_zero:
            yield
            return
        with locked(self.out):
            for folder in (self.out, *self.out.iterdir(), *self.out.glob("evaluation/**/")):
                remove_leftovers(folder)
            yield

    def steps(self) -> int:
        """Optimiser steps of the training.

        Raises:
            UserError: none are asked for.
        """
        steps: int = self.config.trainer.max_steps
        if steps < 1:
            given = "is not given" if steps == -1 else f"must be at least 1, got {steps}"
            raise UserError(f"--steps (trainer.max_steps) {given}; say how many optimiser steps to train")
        return steps

    def splits(self) -> tuple[str, ...]:
        """The options of ``data`` that name the splits which this run reads."""
        return ("split",)

    def check(self, checkpoint: Path | None) -> None:
        """Find out what would end the training before its first step, while nothing is written yet.

        Args:
            checkpoint: what the training goes on from.

        Raises:
            UserError: there is no such split, nothing to train on, no number of steps, or a schedule does not fit into
                it; or the checkpoint cannot be resumed with these options, see ``commands.resuming``.
        """
        self.steps()
        source = self.datamodule.open()
        for option in self.splits():
            scenes_of(source, getattr(self.datamodule, option), f"--data.{option}")
        self.datamodule.setup("fit")
        self.datamodule.train_dataloader()
        self.model.trainer = self.trainer
        self.model.configure_optimizers()
        if checkpoint is not None:
            content = load_checkpoint(checkpoint)
            require_resumable(content, checkpoint, self.provenance(), self.steps(), self.trainer.world_size)
            require_same_model(self.model, content, checkpoint)

    def fit(self) -> None:
        """Train; with ``--ckpt_path`` from there on. Leaves ``config.yaml`` and ``provenance.json`` in the folder.

        Raises:
            UserError: see ``check``; then nothing was written.
            BadFileError: a file cannot be used; nothing is left of a training without a checkpoint.
        """
        checkpoint = None if self.config.ckpt_path is None else Path(self.config.ckpt_path)
        if self.config.ckpt_path == "last":
            checkpoint = last_checkpoint(self.out / CHECKPOINTS)
        if not self.trainer.is_global_zero:
            return self.train(checkpoint)
        self.check(checkpoint)
        last = self.out / CHECKPOINTS / LAST
        if checkpoint is None and last.is_file():
            status(f"{last}: will be replaced, training starts from the beginning; --ckpt_path last would go on")
        with as_it_was_without_checkpoint(self.out):
            write_text(self.out / CONFIGURATION, self.yaml())
            self.train(checkpoint)

    def train(self, checkpoint: Path | None) -> None:
        """Train, from a checkpoint or from the start; to be called in every process."""
        try:
            with blamed_on("configuration", MisconfigurationException), self.restored.from_checkpoint(checkpoint):
                self.trainer.fit(self.model, self.datamodule, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as stop:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from stop

    def say_what_there_is(self) -> None:
        """One line on the finished training: its last loss, and where checkpoint and curves lie."""
        loss = self.trainer.callback_metrics.get("train/loss")
        final = "" if loss is None else f", final loss {float(loss):.4g}"
        curves = [name for name in ("metrics.csv", "tensorboard") if (self.out / name).exists()]
        shown = f", curves {' and '.join(str(self.out / name) for name in curves)}" if curves else ""
        steps = counted(self.trainer.global_step, "step")
        status(f"{steps} done{final}; checkpoint {self.out / CHECKPOINTS / LAST}{shown}")

    def yaml(self) -> str:
        """The full configuration."""
        text: str = self.parser.dump(self.config, skip_none=False, format="yaml")
        return text

    def provenance(self) -> dict[str, Any]:
        """What a result of this run is made with; found out once."""
        if self._provenance is None:
            data = self.datamodule
            options = yaml.safe_load(self.yaml())
            self._provenance = provenance(self.name, options, seed=data.seed, data=data.fingerprints())
        return self._provenance

    @property
    def out(self) -> Path:
        """The run's folder."""
        return Path(self.config.out)


@cache
def _say_once(line: str) -> None:
    """A process may build many trainings."""
    status(line)
