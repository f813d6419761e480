"""What ``avjepa inspect`` finds in a data set of any layout, and its page."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import RenderableType

from avjepa.commands.configurations import load_config
from avjepa.commands.shipped import CONFIGS
from avjepa.data.channels import SensorChannels
from avjepa.data.datasets import layout_at, layout_of, open_dataset
from avjepa.data.files.images import ImageTransform
from avjepa.data.inspection.check import Check
from avjepa.data.inspection.inspect_labels import KEYFRAMES, inspect_labels
from avjepa.data.inspection.labelled import spread
from avjepa.data.inspection.ranges import Reach
from avjepa.data.inspection.rendering import rendered_report
from avjepa.data.inspection.report import LabelReport
from avjepa.data.nuscenes.inspection.inspect_dataset import inspect_dataset
from avjepa.data.nuscenes.inspection.rendering import rendered
from avjepa.data.nuscenes.inspection.report import DatasetReport
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import load_samples
from avjepa.data.sample import Sample
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs, recorded_sensors
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import BadFileError, UserError
from avjepa.geometry.grid import BEVGrid
from avjepa.progress import progress_bar
from avjepa.report.inspection_page import write_inspection_page
from avjepa.report.page import Cell
from avjepa.report.sample_pictures import sample_pictures

_BASE = CONFIGS / "encoder" / "lidar_base.yaml"


@dataclass(frozen=True)
class Inspected:
    """A report, and the data set where it could be opened."""

    report: DatasetReport | LabelReport
    dataset: DrivingDataset | None

    def rendered(self) -> RenderableType:
        """The report for a terminal."""
        return rendered(self.report) if isinstance(self.report, DatasetReport) else rendered_report(self.report)


def inspected(
    data: Path, version: str, channels: SensorChannels | None, taxonomy: str | None, fast: bool, every_file: bool
) -> Inspected:
    """Inspect tables and files where the layout is that of nuScenes, then labels and points through the protocol.

    Raises:
        UserError: there is no such data set.
    """
    layout = layout_at(data, version)
    channels, taxonomy = channels or layout.channels, taxonomy or layout.taxonomy
    if layout_of(data, version) not in ("nuscenes", "truckscenes"):
        dataset = open_dataset(data, version, channels, load_taxonomy(taxonomy))
        return Inspected(LabelReport.of(dataset, _checks(dataset, fast)), dataset)
    report = inspect_dataset(
        data, version, sensors=channels, taxonomy=taxonomy, files=not fast,
        opened_per_channel=None if every_file else 200,
    )  # fmt: skip
    try:
        dataset = open_dataset(data, version, channels, load_taxonomy(taxonomy))
        return Inspected(replace(report, checks=_checks(dataset, fast)), dataset)
    except UserError as error:  # the report lists what is broken
        skipped = Check("labels and points", f"not looked into, as the tables cannot be read: {error}")
        return Inspected(replace(report, checks=(skipped,)), None)


def _checks(dataset: DrivingDataset, fast: bool) -> tuple[Check, ...]:
    keyframes = 0 if fast else min(KEYFRAMES, len(dataset.moments(keyframes_only=True)))
    with progress_bar("looking into labels and points", keyframes) as advance:
        return inspect_labels(dataset, base_reach(), keyframes=keyframes, keyframe_done=lambda: advance(1))


def base_reach() -> Reach:
    """What the base configurations look at."""
    options = load_config(_BASE)["init_args"]
    low, high = options["z_range"]
    return Reach(BEVGrid(**options["token_grid"]), (low, high))


def write_page(path: Path, found: Inspected, with_files: bool) -> None:
    """Write the report as a page, with pictures of the keyframe that has most boxes of those that are looked into."""
    report = found.report
    facts: dict[str, Cell] = {
        "folder": report.dataroot, "version": report.version, "scenes": report.scenes, "keyframes": report.keyframes,
        "moments": report.moments,
    }  # fmt: skip
    sample = None if found.dataset is None or not with_files else _pictured(found.dataset)
    classes = () if found.dataset is None else found.dataset.taxonomy.classes
    name = "" if sample is None else f"{sample.scene}, {sample.token}"
    keyframe = None if sample is None else (name, sample_pictures(sample, classes=classes))
    title = f"{Path(report.dataroot).name} {report.version}"
    if not isinstance(report, DatasetReport):
        rows: list[list[Cell]] = [[name, use, None, None, None] for name, use in report.channels.items()]
        write_inspection_page(path, title=title, facts=facts, checks=report.checks, channels=rows, keyframe=keyframe)
        return
    rows = []
    for channel in report.channels:
        holds = ", ".join(f"{size} pixels" for size in channel.image_sizes)
        holds += "" if channel.points is None else "{} / {:.0f} / {} points".format(*channel.points)
        rows.append([channel.channel, channel.sensor, channel.keyframes, channel.sweeps, holds])
    write_inspection_page(
        path,
        title=title,
        facts=facts | {"splits": ", ".join(f"{name} ({count})" for name, count in report.splits.items()) or "none"},
        checks=report.checks,
        blocked=report.blocked,
        findings={
            "Problems": [(one.where, one.problem) for one in report.problems],
            "Warnings": [(one.where, one.problem) for one in report.warnings],
        },
        commands=[(one.split, one.command, one.outcome, one.why) for one in report.verdicts],
        channels=rows,
        keyframe=keyframe,
    )


def _pictured(dataset: DrivingDataset) -> Sample | None:
    """``None`` where nothing can be shown."""
    there = recorded_sensors(dataset.channels, dataset.recorded_channels)
    moments = dataset.moments(keyframes_only=True)
    if not there or not len(moments):
        return None
    moments = moments[spread(len(moments), KEYFRAMES)]
    labelled = dataset.has_labels()
    boxes = np.zeros(len(moments), np.int64)
    if labelled:
        summary = dataset.boxes(moments)
        boxes = np.bincount(summary.item[summary.class_index >= 0], minlength=len(moments))
    inputs = SensorInputs(LidarSweeps(), RadarSweeps(1), ImageTransform(450, 800)).of(there)
    for place in np.argsort(-boxes, kind="stable").tolist():
        moment = int(moments[place])
        try:
            (sample,) = load_samples(dataset, moment, (inputs,))
            return replace(sample, labels=dataset.labels(moment)) if labelled else sample
        except BadFileError:
            continue
    return None
