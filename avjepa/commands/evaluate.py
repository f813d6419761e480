"""``avjepa evaluate``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avjepa.bundle.construction import require_trusted
from avjepa.commands.begun_folder import CONFIGURATION
from avjepa.commands.configurations import read_yaml
from avjepa.commands.finetune import FinetuneCLI
from avjepa.commands.parsing import run_function
from avjepa.commands.pseudo_labels import LEAST_SCORE
from avjepa.commands.scoring import require_own_results, score
from avjepa.commands.sensors import chosen_sensors
from avjepa.commands.splits import scenes_of
from avjepa.data.channels import load_channels
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.taxonomy import Taxonomy, load_taxonomy
from avjepa.errors import UserError
from avjepa.evaluate.detection.detected_boxes import DetectedBoxes
from avjepa.finetune.lightning_model import FinetuneModule


def evaluate(
    run: Path,
    data: Path | None = None,
    version: str | None = None,
    channels: Path | None = None,
    taxonomy: str | None = None,
    split: str | None = None,
    sensors: str | None = None,
    checkpoint: Path | None = None,
    boxes: Path | None = None,
    features: Path | None = None,
    on_bad_file: str | None = None,
    accelerator: str = "auto",
    devices: str = "auto",
    fast: bool = False,
    out: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Predict a split with a fine-tuned model, and score every task of it: detections with the official evaluation.

    Writes each task's result file (predictions.json in the official format, segmentation.zip) and metrics.json into
    OUT/evaluation/SPLIT, or SPLIT_SENSORS; where the run has several tasks, into a folder of the task's in there.

    Args:
        run: folder of a finished "avjepa finetune".
        data: root folder of another dataset; the run's own by default.
        version: name of its folder of tables; the run's own by default.
        channels: a YAML file that says which channels are lidar, cameras and radars; as in the run by default.
        taxonomy: the classes, which must be those of the run: a file, or a name (nuscenes); as in the run by default.
        split: the split to score; the run's eval_split by default.
        sensors: which of lidar, camera and radar the model is shown, as in "lidar,radar"; all of the run's by default.
        checkpoint: another checkpoint than the run's last.
        boxes: a predictions.json whose boxes re-identification looks at, in the place of the annotated ones; results go
            to SPLIT_detected.
        features: a folder in which the backbone's maps are kept; those that are missing are computed first.
        on_bad_file: "stop" or "skip"; as in the run by default.
        accelerator: "cpu", "gpu" or what else Lightning knows; what there is by default, whatever the run had.
        devices: how many, or which as in "0,2"; all there are by default, whatever the run had.
        fast: score detections with our own evaluator, which gives the devkit's numbers without loading its tables.
        out: folder for the results; the run's own by default.
        overwrite: replace results of other weights or other data that lie there.
    """
    changes: dict[str, Any] = {
        "dataroot": data,
        "version": version,
        "taxonomy": taxonomy,
        "eval_split": split,
        "on_bad_file": on_bad_file,
    }
    cli = finished_run(run, changes, channels, checkpoint, {"accelerator": accelerator, "devices": devices}, out)
    if sensors is not None and features is not None:
        raise UserError("--features: holds maps of all sensors of the run; leave it or --sensors out")
    if sensors is not None:
        cli.datamodule.show(chosen_sensors(sensors, cli.sensors()))
    if boxes is not None:
        if not cli.datamodule.needs_queries:
            raise UserError("--boxes: no task of this run looks at boxes that it is given; leave it out")
        cli.datamodule.queries = DetectedBoxes(boxes, cli.datamodule.open())
    with cli.folder_held():
        if cli.trainer.is_global_zero and not overwrite:
            require_own_results(cli)
        if features is not None:
            cli.config.features = str(features)
        if (maps := cli.kept_maps(training=False)) is not None:
            maps.of_split(cli.datamodule.eval_split)
        score(cli, fast)


def finished_run(
    run: Path,
    data: Mapping[str, Any],
    channels: Path | None,
    checkpoint: Path | None,
    trainer: Mapping[str, Any],
    out: Path | None,
) -> FinetuneCLI:
    """A training's trainer, model and data, with the weights that it ended with.

    Args:
        run: folder of the training.
        data: options of ``data`` that are to be others than the run's; ``None`` for the run's.
        channels: a YAML file of channels; the run's for ``None``.
        checkpoint: another one than the run's last.
        trainer: options of the trainer.
        out: folder for results; the run's for ``None``.

    Raises:
        UserError: the folder holds no training, names code that is not trusted, or does not fit what is given.
    """
    from avjepa.training.checkpoint_contents import require_same_model
    from avjepa.training.checkpoints import LAST, load_checkpoint
    from avjepa.training.defaults import CHECKPOINTS

    path = checkpoint or run / CHECKPOINTS / LAST
    require_configuration(run)
    content = load_checkpoint(path)
    cli = built_run(run, data, channels, trainer, out)
    require_same_model(cli.model, content, path)
    cli.model.load_state_dict(content["state_dict"])
    return cli


def require_configuration(run: Path) -> None:
    """Raise unless the folder of a training says how it was made.

    Raises:
        UserError: it does not.
    """
    if not (run / CONFIGURATION).is_file():
        raise UserError(f"--run {run}: holds no config.yaml; give the folder of a finished avjepa finetune")


def built_run(
    run: Path, data: Mapping[str, Any], channels: Path | None, trainer: Mapping[str, Any], out: Path | None
) -> FinetuneCLI:
    """A training's trainer, model and data, with weights that are new: see ``finished_run``."""
    require_configuration(run)
    file = run / CONFIGURATION
    config = read_yaml(file)
    if not isinstance(config, dict) or not all(isinstance(config.get(part), dict) for part in ("data", "model")):
        raise UserError(f"{file}: is not the configuration of an avjepa finetune; give the folder of one")
    changes: dict[str, Any] = {name: str(value) for name, value in data.items() if value is not None}
    if channels is not None:
        changes["channels"] = {kind: list(names) for kind, names in asdict(load_channels(channels)).items()}
    before = str(config["data"].get("taxonomy", "nuscenes"))
    config = for_scoring(config, out or run, changes, trainer)
    require_trusted_run(config, file)
    cli = FinetuneCLI("finetune", FinetuneModule, DetectionDataModule, config)
    if (taxonomy := changes.get("taxonomy")) is not None:
        require_same_classes(cli.datamodule.taxonomy, load_taxonomy(before), taxonomy, run)
    scenes_of(cli.datamodule.open(), cli.datamodule.eval_split, "--split")
    return cli


def require_same_classes(given: Taxonomy, trained: Taxonomy, name: str, run: Path) -> None:
    """Raise unless two taxonomies have the same classes in the same order: a head's outputs are those of one.

    Raises:
        UserError: naming the classes that differ.
    """
    if given.classes == trained.classes:
        return
    without = ", ".join(kind for kind in trained.classes if kind not in given.classes) or "none"
    added = ", ".join(kind for kind in given.classes if kind not in trained.classes) or "none"
    raise UserError(
        f"--taxonomy {name}: its classes are not those that {run} was trained for, in their order (missing: {without}; "
        f"new: {added}); give a taxonomy of the same classes, or fine-tune with this one"
    )


_PLAIN = ("dataroot", "version", "taxonomy", "train_split", "eval_split", "validation_split", "scenes")
"""Options of ``data`` whose values are texts, which no parser takes for anything else."""


def require_trusted_run(config: Mapping[str, Any], file: Path) -> None:
    """Raise if the configuration in a run's folder names code that is neither avjepa's nor of a trusted module.

    Raises:
        UserError: naming it. Whoever hands over a run hands over no code with it.
    """
    data = {name: value for name, value in config["data"].items() if name not in _PLAIN}
    if isinstance(channels := data.get("channels"), Mapping) and all(isinstance(v, list) for v in channels.values()):
        del data["channels"]
    require_trusted({"model": config["model"], "data": data}, str(file))


def for_scoring(
    config: Mapping[str, Any], out: Path, data: Mapping[str, Any], trainer: Mapping[str, Any]
) -> dict[str, Any]:
    """A training's configuration with other data and another trainer, and without what only the training needs.

    Devices, strategy, precision, loggers and plugins are those of the machine on which it was trained; the weights come
    from the checkpoint, not from what it started from.
    """
    return {
        **config,
        "data": {**config["data"], **data, "validation_split": None},
        "model": {**config["model"], "bundle": None, "init_heads": None},
        "bundles": None,
        "features": None,
        "pseudo_labels": None,
        "pseudo_score": LEAST_SCORE,
        "trainer": {**trainer, "logger": False},
        "validate_every": None,
        "score_validation": False,
        "out": str(out),
    }


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("evaluate", evaluate, arguments)
