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
from avjepa.report.robustness import Bar, bars_figure
from avjepa.report.sample_pictures import sample_pictures
from avjepa.report.scores import method_colours
from avjepa.report.segmentation import ClassMap
from avjepa.report.verdict import verdict

_FINAL_MEASURES = (
    ("std of context embeddings", "collapse/context_std_occupied"),
    ("std of targets", "collapse/target_std_occupied"),
    ("std of predictions", "collapse/prediction_std_occupied"),
    ("pairwise cosine of context embeddings", "collapse/context_cosine_occupied"),
    ("effective rank, centred", "collapse/rank_centred"),
    ("effective rank, uncentred", "collapse/rank_uncentred"),
    ("loss / loss of a constant prediction", "collapse/loss_vs_constant_occupied"),
    ("probe: average precision", "collapse/probe_precision"),
    ("probe: chance", "collapse/probe_chance"),
)


@dataclass(frozen=True)
class PretrainingCost:
    """How a backbone was pre-trained."""

    curves: Curves
    channels: int
    """Of the BEV embedding: healthy embeddings have a std of about 1/√channels."""
    facts: Mapping[str, Cell] = field(default_factory=dict)
    """Parameters, steps, time per step and the like."""
    features: Figure | None = None
    """``features_figure``: the input and the maps before and after pre-training."""


@dataclass(frozen=True)
class Model:
    """What was trained with labels, and its scores; fractions, not per cent."""

    name: str
    backbone: str
    """In words: frozen and from where, or new."""
    labelled_scenes: int
    steps: int
    seconds: float
    """Of the training; of heads with the maps that they learn from."""
    figures: Mapping[str, Mapping[str, float]]
    """By task, then by name."""
    class_ap: Mapping[str, float]
    curves: Curves


@dataclass(frozen=True)
class Scene:
    """A keyframe with what a model made of it."""

    caption: str
    sample: Sample
    detections: Detections | None
    segmentation: Sequence[ClassMap] = ()


@dataclass(frozen=True)
class Sure:
    """From which score on detections of a class are drawn: where F1 on the scored split is greatest."""

    class_name: str
    score: float
    precision: float
    """Within 2 m, of the detections from this score on."""
    recall: float


@dataclass(frozen=True)
class GateAnswer:
    """What the comparison of the two releases came to."""

    passed: bool
    sentence: str
    notes: Sequence[str]
    page: str
    """Where the whole comparison lies, relative to this page."""
    changes: Mapping[tuple[str, str], tuple[float, float, float]] = field(default_factory=dict)
    """By task and figure: change from the first release to the last, and where 95 % of draws of scenes lie; fractions.
    """


def write_demo_report(
    path: Path,
    *,
    facts: Mapping[str, Cell],
    timings: Sequence[tuple[str, float, float]],
    models: Sequence[Model],
    gate: GateAnswer | None,
    scenes: Sequence[Scene],
    sure: Sequence[Sure],
    backbone: Mapping[str, Cell],
    pretraining: PretrainingCost | None,
    reidentification: Mapping[str, Any] | None = None,
    title: str = "avjepa demo",
) -> None:
    """Write the page: the verdict, scenes, the releases and the gate, pre-training, what was run.

    Args:
        path: the HTML file.
        facts: what was run, and on what: data, hardware, versions, seeds.
        timings: step, seconds, and peak memory in MiB.
        models: the releases, oldest first, then what was trained from nothing.
        gate: what it said of the last release.
        scenes: pictures to show.
        sure: from which scores on their detections are drawn.
        backbone: facts on the frozen backbone.
        pretraining: the one that is shown.
        reidentification: what the scorer of re-identification wrote of the last release.
        title: heading of the page.
    """
    page = ReportPage(
        title, "A backbone pre-trained without labels, frozen; two releases of heads on it, and the gate."
    )
    page.section("Result")
    details = "\n".join(f"- {sentence}" for sentence in _sentences(models, gate))
    page.add_verdict(f"**{_headline(models, gate)}**\n\n{details}")
    if scenes:
        _add_scenes(page, scenes, sure)
    _add_models(page, models, {} if gate is None else gate.changes)
    if gate is not None:
        page.section("May the second release go out?")
        page.add_text(
            f"**{gate.sentence}**\n\n"
            + "\n".join(f"- {note.removeprefix('- ')}" for note in gate.notes)
            + f"\n\nBy class and slice, with intervals over scenes, worst scenes and thresholds: `{gate.page}`."
        )
    if reidentification is not None:
        add_reidentification(page, reidentification)
    page.section("The backbone")
    page.add_facts(backbone)
    if pretraining is not None:
        _add_pretraining(page, pretraining)
    page.section("What was run")
    page.add_facts(facts)
    _add_timings(page, timings)
    page.write(path)


def _headline(models: Sequence[Model], gate: GateAnswer | None) -> str:
    """The verdict in one sentence."""
    *releases, nothing = models
    last = releases[-1]
    ours, theirs = (100 * model.figures["detection"]["mAP"] for model in (last, nothing))
    reached = f"mAP {ours:.1f} % against {theirs:.1f} % of the same network from nothing (one seed: no proof of a gain)"
    if gate is None:
        return f"{last.name} reaches {reached}."
    return f"{last.name} {'may' if gate.passed else 'must not'} go out: {reached}."


def _sentences(models: Sequence[Model], gate: GateAnswer | None) -> list[str]:
    """The verdict, a sentence each."""
    *releases, nothing = models
    last = releases[-1]
    ours, theirs = (100 * model.figures["detection"]["mAP"] for model in (last, nothing))
    compared = verdict(
        "mAP", ("of heads on the frozen backbone", [ours]), ("of the same network from nothing", [theirs])
    )
    sentences = [
        f"**{counted(last.labelled_scenes, 'labelled scene')}, {counted(last.steps, 'step')} each**: {compared}",
        f"**Time**: {last.seconds:.0f} s for the heads of {last.name}, {nothing.seconds:.0f} s for the network from "
        "nothing.",
    ]
    if gate is not None:
        sentences.append(f"**Gate**, {releases[0].name} → {last.name}: {gate.sentence}")
    return sentences


def _add_scenes(page: ReportPage, scenes: Sequence[Scene], sure: Sequence[Sure]) -> None:
    page.section("Scenes")
    page.add_text(
        "Every camera, the scene from above (forward is up), and the segmentation over the truth. Ground truth is "
        "dotted in the images and filled from above; detections are outlines, bolder the higher their score. "
        "**Detections are drawn from the score on at which F1, the harmonic mean of precision and recall, of their "
        "class is greatest on the scored split**; a class of which nothing is found has none. No scene was trained on."
    )
    for scene in scenes:
        page.add_text(f"**{scene.caption}**")
        sample_pictures(scene.sample, scene.detections, segmentation=scene.segmentation).add_to(page)
    if sure:
        page.add_table(
            [
                [one.class_name.replace("_", " "), f"{one.score:.2f}", _per_cent(one.precision), _per_cent(one.recall)]
                for one in sure
            ],
            ["class", "drawn from score", "precision (%)", "recall (%)"],
            "The scores, and what detections from them on are worth on all scored scenes (within 2 m).",
        )


def _add_models(
    page: ReportPage, models: Sequence[Model], changes: Mapping[tuple[str, str], tuple[float, float, float]]
) -> None:
    page.section("Releases")
    names = list(
        dict.fromkeys((task, name) for model in models for task, named in model.figures.items() for name in named)
    )
    rows: list[list[Cell]] = []
    for task, name in names:
        values = [model.figures.get(task, {}).get(name) for model in models]
        shown = [None if value is None else f"{100 * value:.1f}" for value in values]
        rows.append([f"{task}: {name.replace('_', ' ')}", *shown, _change(changes.get((task, name)))])
    about: list[list[Cell]] = [
        ["backbone", *(model.backbone for model in models), None],
        ["labelled scenes", *(str(model.labelled_scenes) for model in models), None],
        ["steps", *(str(model.steps) for model in models), None],
        ["seconds", *(f"{model.seconds:.0f}" for model in models), None],
    ]
    header = ["", *(model.name for model in models)]
    page.add_table(
        about + rows,
        [*header, "change (95 % interval)"],
        "Scores on the scenes that nobody trained on, in per cent, by avjepa's own evaluators. The change is that from "
        "the first release to the last, in points, and where 95 % of draws of the scenes put it; all are of one seed.",
    )
    page.add_figure(
        bars_figure([Bar(model.name, 100 * model.figures["detection"]["mAP"], True) for model in models], "mAP (%)"),
        "Detection. The dotted line is the first release.",
        "Bar chart of mAP by model; the numbers are in the table above",
    )
    classes = list(dict.fromkeys(name for model in models for name in model.class_ap))
    page.add_table(
        [[name.replace("_", " "), *(_per_cent(model.class_ap.get(name)) for model in models)] for name in classes],
        ["AP", *header[1:]],
        "Average precision by class in per cent.",
    )
    page.add_figure(
        curves_figure(
            {model.name: model.curves for model in models}, FINETUNING_PANELS,
            colours=method_colours([model.name for model in models]), columns=2,
        ),
        "Loss on the labelled scenes, and the learning rate.",
        "Loss curves of the trainings with labels",
    )  # fmt: skip


def _change(change: tuple[float, float, float] | None) -> Cell:
    if change is None:
        return None
    by, low, high = (100 * part for part in change)
    return f"{by:+.1f} ({low:+.1f} to {high:+.1f})"


def _per_cent(value: float | None) -> Cell:
    return None if value is None or math.isnan(value) else f"{100 * value:.1f}"


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


def _add_pretraining(page: ReportPage, run: PretrainingCost) -> None:
    page.section("A short pre-training")
    page.add_text(
        "How a backbone comes to be, in a minute instead of the hours that the zoo's took. A falling loss proves "
        "nothing: embeddings may collapse. Healthy ones keep a standard deviation near 1/√channels, a pairwise cosine "
        "well below 1, an effective rank that does not fall towards 1, and are predicted better than by a constant "
        "(ratio below 1)."
    )
    page.add_facts(run.facts)
    rows: list[list[Cell]] = [["1/√channels", f"{1 / math.sqrt(run.channels):#.3g}"]]
    for heading, metric in _FINAL_MEASURES:
        values = finite(run.curves, metric)[1]
        if len(values):
            rows.append([heading, f"{values[-1]:#.3g}"])
    page.add_table(rows, ["last measurement", "LiDAR"], "Collapse diagnostics at the end, on occupied cells.")
    page.add_figure(
        curves_figure({"LiDAR": run.curves}, PRETRAINING_PANELS),
        "Loss and collapse diagnostics over pre-training.",
        "Curves of loss, effective rank, standard deviation, cosine and probe over optimiser steps",
    )
    if run.features is not None:
        page.add_image(
            png_of(run.features, dots_per_inch=110.0),
            "The input, and the BEV map of the network before pre-training, after this short one, and of the zoo: the "
            "first three principal components as red, green and blue. Each network has its own projection, shared by "
            "its rows, so colours compare down a column and not across. Cells without data are dimmed; white outlines "
            "are the ground truth, which no backbone has seen.",
            "Principal components of the LiDAR's bird's-eye-view map before and after pre-training",
        )
