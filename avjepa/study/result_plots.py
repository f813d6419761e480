"""The plots of a study: score against labels, against compute and against what diagnostics say of a backbone."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from avjepa.errors import counted
from avjepa.files import replacing
from avjepa.report.scores import score_bars_figure, score_lines_figure, score_scatter_figure
from avjepa.study.jobs import Pretraining
from avjepa.study.result_tables import MODES, percent
from avjepa.study.summary import Curve, Row, compute_curves, compute_place, curve, fully_pretrained, of_the_grid

PICTURES = ("labels_*.png", "compute_*.png", "rank.png", "probe.png")
"""Names of the files that ``draw`` writes."""


def draw(out: Path, rows: Sequence[Row], backbones: Mapping[Pretraining, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Write the plots into a folder; (title, file name) of each."""
    pictures = []
    longest = fully_pretrained(rows)
    methods = [method for method in dict.fromkeys(row.method for row in rows) if method in longest]
    lengths = sorted({row.steps for row in rows})
    for mode, steps in itertools.product(MODES, lengths):
        curves: dict[str, Curve] = {method: curve(rows, method, mode, steps) for method in methods}
        scores = {
            method: {float(scenes): percent(by_seed) for scenes, by_seed in found.items()}
            for method, found in curves.items()
            if found
        }
        longer = f"_{steps}" if steps > lengths[0] else ""
        # one amount of labels makes no line of the longer trainings
        if scores and (not longer or any(len(found) > 1 for found in scores.values())):
            where = f"{_name(mode)}, {counted(steps, 'step')}"
            amounts = {scenes for found in scores.values() for scenes in found}
            if len(amounts) > 1:
                figure = score_lines_figure(scores, horizontal="labelled scenes", vertical=f"mAP (%), {where}")
            else:
                bars = {method: next(iter(found.values())) for method, found in scores.items()}
                name = counted(int(amounts.pop()), "labelled scene")
                figure = score_bars_figure({name: bars}, vertical=f"mAP (%), {where}")
            pictures.append((f"Score against labels, {where}", _save(figure, out / f"labels_{mode}{longer}.png")))
    place = compute_place(rows)
    if place is not None:
        where = f"{_name(place[0])}, {counted(place[1], 'labelled scene')}"
        for what, title in (("pretrain_seconds", "seconds of pre-training"), ("samples", "samples of pre-training")):
            by_cost = {
                method: {cost: percent(by_seed) for cost, by_seed in points.items()}
                for method, points in compute_curves(rows, costs(backbones, what), *place).items()
                if method in longest
            }
            if any(len(points) > 1 for points in by_cost.values()):  # one length of pre-training makes no line
                figure = score_lines_figure(by_cost, horizontal=title, vertical=f"mAP (%), {where}", ticks="{:.0f}")
                file = _save(figure, out / f"compute_{what.removeprefix('pretrain_')}.png")
                pictures.append((f"Score against {title}, {where}", file))
        for measure, title in (
            ("rank_centred", "RankMe (centred)"),
            ("probe_precision", "probe for hidden cells (AP)"),
        ):
            points: dict[str, list[tuple[float, float]]] = {}
            for row in of_the_grid(rows):
                outcome = backbones.get(Pretraining(row.method, row.pretrain_seed, row.pretrain_steps), {})
                if (row.mode, row.scenes) == place and outcome.get(measure) is not None:
                    points.setdefault(row.method, []).append((float(outcome[measure]), 100 * row.mAP))
            if len({x for found in points.values() for x, _ in found}) > 1:  # one backbone shows no connection
                figure = score_scatter_figure(points, horizontal=title, vertical=f"mAP (%), {where}")
                file = _save(figure, out / f"{measure.partition('_')[0]}.png")
                pictures.append((f"Score against {title}, {where}", file))
    return pictures


def _name(mode: str) -> str:
    return mode.replace("_", " ")


def _save(figure: Figure, path: Path) -> str:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, facecolor="white")
    return path.name


def costs(backbones: Mapping[Pretraining, Mapping[str, Any]], what: str) -> dict[tuple[str, int], float]:
    """What pre-trainings took, seconds or samples: mean over seeds, by method and steps."""
    found: dict[tuple[str, int], list[float]] = {}
    for job, outcome in backbones.items():
        measure = outcome.get("batch_size" if what == "samples" else what)
        if job.steps and measure is not None:  # of a backbone that was there nobody knows
            cost = job.steps * measure if what == "samples" else measure
            found.setdefault((job.method, job.steps), []).append(float(cost))
    return {key: statistics.fmean(values) for key, values in found.items()}
