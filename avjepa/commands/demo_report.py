"""The demo's page, gathered from what the commands left on disk."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from avjepa.bundle.construction import build
from avjepa.commands.demo_jobs import (
    FINETUNE_STEPS,
    KEYFRAMES,
    LABELLED_SCENES,
    METHODS,
    SCENES,
    VERSION,
    finetune_folder,
    fused_folder,
    pretrain_folder,
)
from avjepa.data.datasets import open_dataset
from avjepa.data.files.images import ImageTransform
from avjepa.data.loading.collate import collate
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import load_samples
from avjepa.data.sample import Sample
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.bundled import load_encoder, read_backbone_manifest
from avjepa.evaluate.detection.result_file import read_result_file
from avjepa.evaluate.detection.sample_detections import detections_of
from avjepa.evaluate.detection.scores import DetectionScores
from avjepa.evaluate.detection.task import DetectionWriter
from avjepa.evaluate.robustness.results import TABLE, read_table
from avjepa.evaluate.segmentation.class_maps import class_maps_of
from avjepa.evaluate.segmentation.result_file import read_segmentations
from avjepa.evaluate.segmentation.task import SegmentationWriter
from avjepa.files import read_json
from avjepa.heads.task import METRICS
from avjepa.provenance import hardware, package_versions
from avjepa.report.curves import Curves, finite
from avjepa.report.demo_page import PretrainingCost, Scene, Score, write_demo_report
from avjepa.report.features import FeatureMaps, features_figure
from avjepa.training.metrics import read_curves
from avjepa.training.provenance import read_provenance


def write_report(out: Path, seed: int, sensors: Sequence[str], outcomes: Sequence[Mapping[str, Any]]) -> Path:
    """Write ``report.html`` into ``out`` and return its path."""
    dataset = open_dataset(out / "data", VERSION)
    keyframes = dataset.moments(dataset.scenes_of("val"), keyframes_only=True).tolist()
    shown = [keyframes[round(share * (len(keyframes) - 1))] for share in (0.2, 0.7)]
    machine, versions = hardware(), package_versions()
    facts = {
        "data": f"{SCENES} synthetic scenes of {KEYFRAMES} keyframes, seed {seed}; {len(keyframes)} evaluated",
        "labels": f"those of {LABELLED_SCENES} scenes for fine-tuning; none for pre-training",
        "machine": f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        + (", ".join(machine["cuda_devices"]) or "no GPU"),
        "versions": ", ".join(f"{name} {versions[name]}" for name in ("torch", "lightning", "nuscenes-devkit")),
        "seeds": f"one: {seed}. A difference between two runs of one seed may be chance",
    }
    pretraining = {sensor: gathered_pretraining(out, sensor, dataset, shown) for sensor in sensors}
    path = out / "report.html"
    write_demo_report(
        path,
        facts=facts,
        timings=[(outcome["job"], outcome["seconds"], outcome["peak_mebibytes"]) for outcome in outcomes],
        pretraining=pretraining,
        scores=[gathered_score(out, sensor, method, seed) for sensor in sensors for method in METHODS],
        scenes=[gathered_scene(out, sensors, dataset, moment) for moment in shown],
        subsets=read_table(fused_folder(out) / "robustness" / "val" / TABLE) if len(sensors) > 1 else (),
        reidentification=gathered_reidentification(out) if len(sensors) > 1 else None,
        finetuning={
            sensor: {method: read_curves(finetune_folder(out, sensor, method) / "metrics.csv") for method in METHODS}
            for sensor in sensors
        },
    )
    return path


def gathered_pretraining(out: Path, sensor: str, dataset: DrivingDataset, moments: Sequence[int]) -> PretrainingCost:
    """Curves, facts and feature pictures of one sensor's pre-training."""
    run = pretrain_folder(out, sensor)
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
    samples = [loaded(dataset, moment, sensor) for moment in moments]
    trained = load_encoder(run / "backbone")
    torch.manual_seed(provenance["seed"])
    untrained = build(SensorEncoder, manifest.architecture, str(run)).eval()  # type: ignore[type-abstract]
    columns = []
    with torch.inference_mode():
        for title, encoder in (("before", untrained), ("after", trained)):
            bev = encoder(collate(samples))
            columns.append(FeatureMaps(title, tuple(bev.features.float()), tuple(bev.observed)))
    return PretrainingCost(curves, trained.out_channels, facts, features_figure(samples, trained.token_grid, columns))


def mean_measured(curves: Curves, metric: str, digits: int, unit: float = 1.0) -> float | None:
    """Mean of a metric in multiples of ``unit``; ``None`` where it was not logged, as in a very short training."""
    values = finite(curves, metric)[1]
    return round(float(values.mean()) / unit, digits) if len(values) else None


def gathered_score(out: Path, sensor: str, method: str, seed: int) -> Score:
    """The official scores of one detector."""
    scores = DetectionScores.load(results_folder(finetune_folder(out, sensor, method), "detection") / METRICS)
    present = {name: value for name, value in scores.class_ap.items() if not math.isnan(value)}
    return Score(sensor, method, seed, FINETUNE_STEPS, LABELLED_SCENES, scores.mean_ap, scores.nd_score, present)


def gathered_reidentification(out: Path) -> Any:
    """The scores of the fused model's re-identification; ``None`` where no object was hidden and came back."""
    file = results_folder(fused_folder(out), "reidentification") / METRICS
    return read_json(file) if file.is_file() else None


def gathered_scene(out: Path, sensors: Sequence[str], dataset: DrivingDataset, moment: int) -> Scene:
    """A keyframe with the predictions of the fused detector; of the one on a pre-trained backbone for one sensor."""
    sample = loaded(dataset, moment, None)
    fused = len(sensors) > 1
    run = fused_folder(out) if fused else finetune_folder(out, sensors[0], "jepa")
    name = f"fused detector ({', '.join(sensors)})" if fused else f"pre-trained {sensors[0]} detector"
    predictions = results_folder(run, "detection") / DetectionWriter.file_name
    found = detections_of(read_result_file(predictions, dataset.taxonomy), sample.token, sample.global_from_level)
    detections = (found.boxes, found.scores, found.class_index)
    segmentation = results_folder(run, "segmentation") / SegmentationWriter.file_name
    class_maps = class_maps_of(read_segmentations(segmentation), dataset, moment)[0] if segmentation.is_file() else ()
    return Scene(f"{sample.scene}, detections of the {name}", sample, detections, class_maps)


def results_folder(run: Path, task: str) -> Path:
    """Where the results of a run's task lie: in a folder of the task's where the run has several."""
    folder = run / "evaluation" / "val"
    return folder / task if (folder / task).is_dir() else folder


def loaded(dataset: DrivingDataset, moment: int, sensor: str | None) -> Sample:
    """A keyframe with labels, as the tiny configurations load it: one sensor, or all of them for ``None``."""
    inputs = SensorInputs(
        LidarSweeps() if sensor in ("lidar", None) else None,
        RadarSweeps() if sensor in ("radar", None) else None,
        ImageTransform(128, 224) if sensor == "camera" else ImageTransform(225, 400) if sensor is None else None,
    )
    (sample,) = load_samples(dataset, moment, (inputs,))
    return replace(sample, labels=dataset.labels(moment))
