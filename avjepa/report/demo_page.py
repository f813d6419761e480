"""The page that a demonstration ends with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from avjepa.data.sample import Sample
from avjepa.errors import counted
from avjepa.report.bev import Detections
from avjepa.report.curves import FINETUNING_PANELS, PRETRAINING_PANELS, Curves, curves_figure, finite
from avjepa.report.demo_reidentification import add_reidentification
from avjepa.report.images import png_of
from avjepa.report.page import Cell, ReportPage
from avjepa.report.robustness import Bar, Row, bars_figure
from avjepa.report.sample_figure import sample_figure
from avjepa.report.scores import method_colours, score_bars_figure
from avjepa.report.seed_statistics import Spread
from avjepa.report.segmentation import ClassMap
from avjepa.report.style import CLASSES, method_name
from avjepa.report.verdict import verdict

SENSOR_NAMES = {"lidar": "LiDAR", "camera": "Camera", "radar": "Radar"}

SENSOR_COLOURS = {"LiDAR": "#2f7fd6", "Camera": "#e08a00", "Radar": "#c2559d"}


_FINAL_MEASURES = (
    ("std of context embeddings", "collapse/context_std_occupied"),
    ("std of targets", "collapse/target_std_occupied"),
    ("std of predictions", "collapse/prediction_std_occupied"),
    ("pairwise cosine of context embeddings", "collapse/context_cosine_occupied"),
    ("effective rank, centred", "collapse/rank_centred"),
    ("effective rank, uncentred", "collapse/rank_uncentred"),
    ("loss / loss of a constant prediction", "collapse/cosine_loss_vs_mean_prediction_occupied"),
    ("probe: average precision", "collapse/probe_precision"),
    ("probe: chance", "collapse/probe_chance"),
)


@dataclass(frozen=True)
class PretrainingCost:
    """How one sensor's backbone was pre-trained."""

    curves: Curves
    channels: int
    """Of the BEV embedding: healthy embeddings have a std of about 1/√channels."""
    facts: Mapping[str, Cell] = field(default_factory=dict)
    """Parameters, steps, time per step and the like."""
    features: Figure | None = None
    """``features_figure``: the input and the map before and after pre-training."""


@dataclass(frozen=True)
class Score:
    """Official scores of one fine-tuned detector; fractions, not per cent."""

    sensor: str
    """A key of ``SENSOR_NAMES``."""
    method: str
    """``scratch``, ``jepa``, ...; ``scratch`` is what the others are compared with."""
    seed: int
    steps: int
    """Optimiser steps of the fine-tuning."""
    labelled_scenes: int
    mean_ap: float
    nd_score: float
    class_ap: Mapping[str, float]


@dataclass(frozen=True)
class Scene:
    """A keyframe with what a detector made of it."""

    caption: str
    sample: Sample
    detections: Detections | None
    segmentation: Sequence[ClassMap] = ()


def write_demo_report(
    path: Path,
    *,
    facts: Mapping[str, Cell],
    timings: Sequence[tuple[str, float, float]],
    pretraining: Mapping[str, PretrainingCost],
    scores: Sequence[Score],
    scenes: Sequence[Scene] = (),
    finetuning: Mapping[str, Mapping[str, Curves]] | None = None,
    subsets: Sequence[Row] = (),
    reidentification: Mapping[str, Any] | None = None,
    title: str = "avjepa demo",
) -> None:
    """Write the page: the verdict, what was run, scores, pre-training of every sensor, scenes.

    Args:
        path: the HTML file.
        facts: what was run, and on what: data, hardware, versions, seeds.
        timings: step, seconds, and peak memory in MiB.
        pretraining: by sensor (a key of ``SENSOR_NAMES``); those that were not pre-trained are absent.
        scores: every evaluated detector.
        scenes: pictures to show.
        finetuning: by sensor, then by the name of the run.
        subsets: scores of the fused detector with every subset of its sensors, all of them first.
        reidentification: what the scorer of re-identification wrote of the fused model.
        title: heading of the page.
    """
    page = ReportPage(title, "Label-free pre-training of bird's-eye-view backbones, measured by nuScenes detection.")
    page.section("Result")
    page.add_verdict("\n".join(f"- {sentence}" for sentence in _verdicts(scores)) or "Nothing was evaluated.")
    if scores:
        _add_scores(page, scores)
    if subsets:
        _add_subsets(page, subsets)
    if reidentification is not None:
        add_reidentification(page, reidentification)
    page.section("What was run")
    page.add_facts(facts)
    _add_timings(page, timings)
    if pretraining:
        _add_pretraining(page, pretraining)
    for sensor, runs in (finetuning or {}).items():
        page.section(f"Fine-tuning: {SENSOR_NAMES[sensor]}")
        page.add_figure(
            curves_figure(runs, FINETUNING_PANELS, colours=method_colours(list(runs)), columns=2),
            "Loss on the labelled scenes, and the learning rate, by backbone.",
            f"Loss curves of fine-tuning on {SENSOR_NAMES[sensor]}",
        )
    if scenes:
        page.section("Scenes")
        page.add_text(
            "Six cameras, and the scene from above (forward is up) to 52 m and to 26 m. Ground truth is filled in the "
            "views from above and dotted in the images; predictions are outlines, bolder the higher their score: the "
            "surest ones, as many as there are annotated boxes. Below, where there is a segmentation, its "
            "cells over the truth."
        )
        for scene in scenes:
            detections, caption = _surest(scene)
            figure = sample_figure(scene.sample, detections, segmentation=scene.segmentation)
            page.add_image(png_of(figure), caption, f"Camera images and views from above: {caption}")
    page.write(path)


def _surest(scene: Scene) -> tuple[Detections | None, str]:
    """As many predictions as there are annotated boxes, and the caption that says how sure they are.

    A young detector scores everything low, or everything alike: no fixed score shows the picture below its boxes.
    """
    if scene.detections is None or scene.sample.labels is None:
        return scene.detections, scene.caption
    boxes, scores, class_index = scene.detections
    surest = scores.argsort(descending=True)[: max(1, len(scene.sample.labels))]
    if not len(surest):
        return scene.detections, f"{scene.caption}: there are none"
    best, least = float(scores[surest[0]]), float(scores[surest[-1]])
    caption = f"{scene.caption}: {len(surest)} of {len(scores)}, scores {best:.2f} to {least:.2f}"
    return (boxes[surest], scores[surest], class_index[surest]), caption


def _by_setting(scores: Sequence[Score]) -> dict[tuple[str, int, int], dict[str, list[Score]]]:
    settings: dict[tuple[str, int, int], dict[str, list[Score]]] = {}
    for score in scores:
        setting = settings.setdefault((score.sensor, score.labelled_scenes, score.steps), {})
        setting.setdefault(score.method, []).append(score)
    return settings


def _verdicts(scores: Sequence[Score]) -> list[str]:
    sentences = []
    for (sensor, scenes, steps), methods in _by_setting(scores).items():
        baseline = [100 * score.mean_ap for score in methods.get("scratch", ())]
        for method, runs in methods.items():
            if method != "scratch":
                ours = [100 * score.mean_ap for score in runs]
                sentence = verdict(
                    "mAP", (f"after {method_name(method)} pre-training", ours), ("from scratch", baseline)
                )
                with_labels = f"{counted(scenes, 'labelled scene')}, {counted(steps, 'step')} each"
                sentences.append(f"**{SENSOR_NAMES[sensor]}**, {with_labels}: {sentence}")
    return sentences


def _add_scores(page: ReportPage, scores: Sequence[Score]) -> None:
    rows: list[list[Cell]] = []
    header = ["AP"]
    by_class: list[list[Cell]] = [[name.replace("_", " ")] for name in CLASSES]
    for (sensor, scenes, steps), methods in _by_setting(scores).items():
        for method, runs in methods.items():
            mean_ap = Spread.of([100 * run.mean_ap for run in runs])
            nd_score = Spread.of([100 * run.nd_score for run in runs])
            names = (SENSOR_NAMES[sensor], method_name(method))
            rows.append([*names, scenes, steps, len(runs), mean_ap.text(), nd_score.text()])
            header.append(" ".join(names) + f", {scenes} sc.")
            for row, name in zip(by_class, CLASSES, strict=True):
                row.append(Spread.of([100 * run.class_ap.get(name, math.nan) for run in runs]).text())
    page.add_table(
        rows,
        ["sensor", "backbone", "labelled scenes", "steps", "seeds", "mAP", "NDS"],
        "Scores of the official nuScenes evaluation in per cent: mean ± standard deviation over seeds. Methods of one "
        "setting had the same labelled scenes and the same number of optimiser steps.",
    )
    page.add_table(
        by_class,
        header,
        "Average precision by class in per cent, over seeds, by sensor, backbone and labelled scenes. A class that the "
        "evaluated scenes do not hold scores 0 and counts in the mean.",
    )
    groups: dict[str, dict[str, list[float]]] = {}
    for (sensor, scenes, _), methods in _by_setting(scores).items():
        groups[f"{SENSOR_NAMES[sensor]}\n{counted(scenes, 'scene')}"] = {
            method_name(method): [100 * run.mean_ap for run in runs] for method, runs in methods.items()
        }
    page.add_figure(
        score_bars_figure(groups, vertical="mAP (%)"),
        "Mean over seeds; whiskers are one standard deviation, dots single runs.",
        "Bar chart of mAP by sensor and method; the numbers are in the table above",
    )


def _add_subsets(page: ReportPage, subsets: Sequence[Row]) -> None:
    page.section("One detector of all sensors")
    page.add_text(
        "The branches of the pre-trained detectors, frozen, aligned and summed; trained with samples that lacked some "
        "of their sensors at random. The same weights are scored with every subset of the sensors: **C**amera, "
        "**L**iDAR, **R**adar."
    )
    rows: list[list[Cell]] = [
        [row.sensors, *(None if score is None else f"{score:.1f}" for score in (row.mAP, row.NDS))] for row in subsets
    ]
    page.add_table(rows, ["sensors", "mAP", "NDS"], "Scores in per cent, by avjepa's own evaluator.")
    page.add_figure(
        bars_figure([Bar(row.sensors, row.mAP or 0.0, True) for row in subsets], "mAP (%)"),
        "Score with every subset of the sensors; the dotted line is that of all.",
        "Bar chart of mAP by sensors; the numbers are in the table above",
    )


def _add_timings(page: ReportPage, timings: Sequence[tuple[str, float, float]]) -> None:
    if not timings:
        return
    rows: list[list[Cell]] = [[name, f"{seconds:.1f}", f"{peak:.0f}"] for name, seconds, peak in timings]
    rows.append(["all steps", f"{sum(t[1] for t in timings):.1f}", f"{max(t[2] for t in timings):.0f}"])
    page.add_table(
        rows,
        ["step", "seconds", "peak memory (MiB)"],
        "Wall-clock time and largest resident memory of each step. Steps may run side by side: the sum is then more "
        "than the time that passed.",
    )


def _add_pretraining(page: ReportPage, pretraining: Mapping[str, PretrainingCost]) -> None:
    page.section("Pre-training")
    page.add_text(
        "A falling loss proves nothing: embeddings may collapse. Healthy ones keep a standard deviation near "
        "1/√channels, a pairwise cosine well below 1, an effective rank that does not fall towards 1, and are "
        "predicted better than by a constant (ratio below 1)."
    )
    names = {SENSOR_NAMES[sensor]: run for sensor, run in pretraining.items()}
    rows: list[list[Cell]] = [["1/√channels", *(f"{1 / math.sqrt(run.channels):#.3g}" for run in names.values())]]
    for heading, metric in _FINAL_MEASURES:
        series = [finite(run.curves, metric)[1] for run in names.values()]
        if any(len(values) for values in series):
            rows.append([heading, *(f"{values[-1]:#.3g}" if len(values) else None for values in series)])
    page.add_table(rows, ["last measurement", *names], "Collapse diagnostics at the end, on occupied cells.")
    page.add_figure(
        curves_figure({name: run.curves for name, run in names.items()}, PRETRAINING_PANELS, colours=SENSOR_COLOURS),
        "Loss and collapse diagnostics over pre-training, one colour a sensor.",
        "Curves of loss, effective rank, standard deviation, cosine and probe over optimiser steps",
    )
    for name, run in names.items():
        page.section(f"Pre-training: {name}")
        page.add_facts(run.facts)
        if run.features is not None:
            page.add_image(
                png_of(run.features, dots_per_inch=110.0),
                "The input, and the BEV map before and after pre-training: the first three principal components as "
                "red, green and blue. Each network has its own projection, shared by its rows, so colours compare "
                "down a column and not across. Cells without data are dimmed; white outlines are the ground truth, "
                "which no backbone has seen.",
                f"Principal components of the {name} bird's-eye-view map before and after pre-training",
            )
