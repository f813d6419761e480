"""The demo's page, gathered from what the commands left on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from avjepa.bundle.construction import build
from avjepa.commands.demo_jobs import RELEASES, VERSION, Size, pretrain_folder, scratch_folder, store_folder
from avjepa.commands.evaluate import built_run
from avjepa.commands.release_train import figures_of
from avjepa.data.datasets import open_dataset
from avjepa.data.files.images import ImageTransform
from avjepa.data.loading.collate import collate
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import load_samples
from avjepa.data.sample import Sample
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.bundled import load_encoder, read_backbone_manifest
from avjepa.evaluate.comparing.pages import notes, verdict
from avjepa.evaluate.comparing.records import FILE, read_comparison
from avjepa.evaluate.detection.result_file import read_result_file
from avjepa.evaluate.detection.sample_detections import detections_of
from avjepa.evaluate.detection.scores import DetectionScores
from avjepa.evaluate.detection.task import DetectionWriter
from avjepa.evaluate.segmentation.class_maps import class_maps_of
from avjepa.evaluate.segmentation.result_file import read_segmentations
from avjepa.evaluate.segmentation.task import SegmentationWriter
from avjepa.files import read_json
from avjepa.heads.task import METRICS
from avjepa.provenance import hardware, package_versions
from avjepa.release.store import Store, read_record
from avjepa.report.bev import Detections
from avjepa.report.curves import Curves, finite
from avjepa.report.demo_page import GateAnswer, Model, PretrainingCost, Scene, Sure, write_demo_report
from avjepa.report.features import FeatureMaps, features_figure
from avjepa.training.metrics import read_curves
from avjepa.training.provenance import read_provenance
from avjepa.zoo import located, names

SHOWN = (0.2, 0.7)
"""Which of the evaluated keyframes are shown, as shares of their number."""


def write_report(out: Path, seed: int, backbone: str, size: Size, outcomes: Sequence[Mapping[str, Any]]) -> Path:
    """Write ``report.html`` into ``out`` and return its path."""
    dataset = open_dataset(out / "data", VERSION)
    keyframes = dataset.moments(dataset.scenes_of("val"), keyframes_only=True).tolist()
    shown = [keyframes[round(share * (len(keyframes) - 1))] for share in SHOWN]
    machine, versions = hardware(), package_versions()
    facts = {
        "data": f"{size.scenes} synthetic scenes of {size.keyframes} keyframes, seed {seed}; {len(keyframes)} scored",
        "machine": f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        + (", ".join(machine["cuda_devices"]) or "no GPU"),
        "versions": ", ".join(
            f"{name} {versions[name]}" for name in ("torch", "lightning", "nuscenes-devkit") if name in versions
        ),
        "seeds": f"one: {seed}. A difference between two runs of one seed may be chance",
    }
    comparison = store_folder(out) / "comparisons" / "_".join(RELEASES)
    record = read_comparison(comparison / FILE)
    last = store_folder(out) / "releases" / RELEASES[-1]
    sure = sure_from(record)
    path = out / "report.html"
    write_demo_report(
        path,
        facts=facts,
        timings=[(outcome["job"], outcome["seconds"], outcome["peak_mebibytes"]) for outcome in outcomes],
        models=[*(gathered_release(out, name) for name in RELEASES), gathered_scratch(out, dataset)],
        gate=GateAnswer(
            record["passed"],
            verdict(record),
            notes(record),
            str((comparison / "comparison.html").relative_to(out)),
            _changes(record),
        ),
        scenes=[gathered_scene(last, sure, dataset, moment) for moment in shown],
        sure=sure,
        backbone=backbone_facts(backbone),
        pretraining=gathered_pretraining(out, dataset, shown),
        reidentification=_reidentification(last),
    )
    return path


def gathered_release(out: Path, name: str) -> Model:
    """A release of the demo's store."""
    folder = Store(store_folder(out)).release(name)
    record = read_record(folder, seconds=dict, scores=dict, scenes=int, steps=int)
    return Model(
        name,
        "frozen",
        record["scenes"],
        record["steps"],
        record["seconds"]["maps"] + record["seconds"]["training"],
        record["scores"],
        class_ap_of(folder),
        curves_of(folder),
    )


def gathered_scratch(out: Path, dataset: DrivingDataset) -> Model:
    """The training from nothing."""
    run = scratch_folder(out)
    provenance = read_provenance(run)
    cli = built_run(run, {}, None, {"accelerator": "cpu", "devices": 1}, None)
    return Model(
        "from nothing",
        "new, learns too",
        len(dataset.scenes_of("train")),
        provenance["steps"],
        provenance["wall_seconds"],
        figures_of(cli, run),
        class_ap_of(run),
        curves_of(run),
    )


def curves_of(run: Path) -> Curves:
    """Of a training; none of one so short that nothing was logged."""
    file = run / "metrics.csv"
    return read_curves(file) if file.is_file() else {}


def class_ap_of(run: Path) -> Mapping[str, float]:
    """The average precision of every class."""
    return DetectionScores.load(results_folder(run, "detection") / METRICS).class_ap


def results_folder(run: Path, task: str) -> Path:
    """Where the results of a task lie: in a folder of the task's where a run or a release has several."""
    folder = run / "evaluation" / "val"
    return folder / task if (folder / task).is_dir() else folder


def backbone_facts(backbone: str) -> dict[str, str]:
    """What the zoo says of a backbone."""
    record = read_record(located(backbone), trained=dict, inputs=dict, interface=dict, version=str)
    trained = record["trained"]
    return {
        "bundle": f"{backbone} {record['version']}",
        "sensors": ", ".join(record["inputs"]["sensors"]),
        "parameters": f"{record['parameters']:,}",
        "cells": f"{record['interface']['token_grid']['cell']:g} m",
        "pre-trained": f"{trained['steps']:,} steps in {trained['wall_seconds'] / 60:.0f} minutes, without a label, on "
        "another synthetic world",
    }


def gathered_pretraining(out: Path, dataset: DrivingDataset, moments: Sequence[int]) -> PretrainingCost:
    """Curves, facts and feature pictures of the pre-training that is shown, beside the zoo's network."""
    run = pretrain_folder(out)
    provenance = read_provenance(run)
    manifest = read_backbone_manifest(run / "backbone")
    curves = read_curves(run / "metrics.csv")
    facts = {
        "parameters": manifest.parameters,
        "steps": provenance["steps"],
        "time (s)": provenance["wall_seconds"],
        "samples per second": mean_measured(curves, "samples_per_second", digits=2),
        "time spent waiting for data (%)": mean_measured(curves, "data_wait_share", digits=1, unit=0.01),
    }
    samples = [loaded(dataset, moment, ("lidar",)) for moment in moments]
    trained = load_encoder(run / "backbone")
    torch.manual_seed(provenance["seed"])
    untrained = build(SensorEncoder, manifest.architecture, str(run)).eval()  # type: ignore[type-abstract]
    networks = {"before": untrained, f"after {provenance['steps']} steps": trained}
    if "lidar-tiny" in names():
        networks["zoo:lidar-tiny"] = load_encoder("zoo:lidar-tiny")
    columns = []
    with torch.inference_mode():
        for title, encoder in networks.items():
            bev = encoder(collate(samples))
            columns.append(FeatureMaps(title, tuple(bev.features.float()), tuple(bev.observed)))
    return PretrainingCost(curves, trained.out_channels, facts, features_figure(samples, trained.token_grid, columns))


def mean_measured(curves: Curves, metric: str, digits: int, unit: float = 1.0) -> float | None:
    """Mean of a metric in multiples of ``unit``; ``None`` where it was not logged, as in a very short training."""
    values = finite(curves, metric)[1]
    return round(float(values.mean()) / unit, digits) if len(values) else None


def sure_from(comparison: Mapping[str, Any]) -> list[Sure]:
    """From which score on the detections of the last release are drawn, by class: where F1 is greatest."""
    of_class = comparison["details"]["detection"]["thresholds"]
    return [
        Sure(name, both[1]["score"], both[1]["precision"], both[1]["recall"])
        for name, both in of_class.items()
        if both[1] is not None
    ]


def _changes(comparison: Mapping[str, Any]) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Of the figures that can be compared, by task and figure."""
    return {
        (task, one["figure"].replace("IoU ", "IoU/")): (one["change"], *one["interval"])
        for task, figures in comparison["figures"].items()
        for one in figures
        if one["change"] is not None and None not in one["interval"]
    }


def gathered_scene(release: Path, sure: Sequence[Sure], dataset: DrivingDataset, moment: int) -> Scene:
    """A keyframe with what a release sees in it: boxes from the best score of their class on, and its segmentation."""
    sample = loaded(dataset, moment, ("lidar", "camera", "radar"))
    found = detections_of(
        read_result_file(results_folder(release, "detection") / DetectionWriter.file_name, dataset.taxonomy),
        sample.token,
        sample.global_from_level,
    )
    score_of = {one.class_name: one.score for one in sure}
    least = torch.tensor([score_of.get(name, torch.inf) for name in dataset.taxonomy.classes])
    drawn = found.scores >= least[found.class_index]
    detections: Detections = (found.boxes[drawn], found.scores[drawn], found.class_index[drawn])
    file = results_folder(release, "segmentation") / SegmentationWriter.file_name
    class_maps = class_maps_of(read_segmentations(file), dataset, moment)[0] if file.is_file() else ()
    caption = f"{sample.scene}, {int(drawn.sum())} detections of {release.name}"
    return Scene(caption, sample, detections, class_maps)


def loaded(dataset: DrivingDataset, moment: int, sensors: Sequence[str]) -> Sample:
    """A keyframe with labels, with what some sensors saw."""
    inputs = SensorInputs(
        LidarSweeps() if "lidar" in sensors else None,
        RadarSweeps() if "radar" in sensors else None,
        ImageTransform(225, 400) if "camera" in sensors else None,
    )
    (sample,) = load_samples(dataset, moment, (inputs,))
    return replace(sample, labels=dataset.labels(moment))


def _reidentification(release: Path) -> Any:
    """What its scorer wrote; ``None`` without that task, or where no object was hidden and came back."""
    file = results_folder(release, "reidentification") / METRICS
    return read_json(file) if file.is_file() and file.parent.name == "reidentification" else None
