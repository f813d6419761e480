"""A study's results as files: the table of cells, a page in Markdown, plots."""

import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from avjepa.files import replacing, write_text
from avjepa.report.scores import Spread, score_lines_figure, score_scatter_figure
from avjepa.report.style import method_name
from avjepa.study.findings import findings
from avjepa.study.plan import Mode, Pretraining, Run, Study
from avjepa.study.store import Store
from avjepa.study.summary import (
    JEPA,
    SCRATCH,
    Curve,
    Row,
    compute_curves,
    compute_place,
    curve,
    fully_pretrained,
    labels_to_reach,
    leads,
    means,
    of_the_grid,
    p_value,
    pretraining_lengths,
    read_table,
    with_all_labels,
    write_table,
)
from avjepa.study.tuning import best_setting, scores_by_setting, trial_scores

TABLE, PAGE = "label_efficiency.csv", "summary.md"
MODES: tuple[Mode, ...] = ("frozen", "end_to_end")
_TITLES = {"frozen": "Frozen backbone", "end_to_end": "End to end"}


def write_results(
    study: Study, store: Store, out: Path, command: str, data: Mapping[str, Any], others: Sequence[Row] = ()
) -> Path:
    """Write table, plots and page of what is done so far; returns the page's path.

    Args:
        study: the grid.
        store: its records.
        out: folder of the results.
        command: reproduces them.
        data: what the data are.
        others: cells of other sensors' studies, for the claim about all of them.
    """
    cells = [(job, store.record(job.name)) for job in study.jobs() if isinstance(job, Run)]
    rows = [Row.of(record) for _, record in cells if record is not None]
    backbones = {
        job: record
        for job in study.jobs()
        if isinstance(job, Pretraining) and (record := store.record(job.name)) is not None
    }
    write_table(out / TABLE, rows)
    pictures = _draw(out, rows, backbones)
    failures = [(name, store.failure(name)) for name in sorted(store.failed() & {job.name for job in study.jobs()})]
    page = [
        f"# Label efficiency: {study.sensor}",
        "",
        f"{len(rows)} of {len(cells)} cells. Command: `{command}`.",
        f"Data: {', '.join(f'{name} {value}' for name, value in data.items() if value)}; "
        f"{study.total_scenes} scenes with labels.",
        f"Hardware: {'; '.join(sorted({row.hardware for row in rows})) or 'none yet'}; "
        f"{_hours(study, store):.1f} hours of it in all.",
        f"Every detector is trained for {study.steps} steps. Scores are mAP in per cent on scenes on which no choice "
        "was made, mean ± standard deviation over seeds; a seed draws the labelled scenes, the order of the data and "
        "the new weights, and has a pre-training of its own.",
        *_score_tables(study, rows),
        *_lead_table(study, rows),
        *_longer_table(study, rows),
        *_needed_table(study, rows),
        *_length_table(study, rows),
        "",
        "## Claims",
        "",
        *_claim_lines([*rows, *others], study.sensor, backbones),
        *_settings_table(study, store),
        *_backbone_table(rows, backbones),
        *(["", "## Failures", ""] if failures else []),
        *(f"- `{name}`: {failure['reason']}" for name, failure in failures if failure is not None),
        "",
        *(f"![{title}]({file})" for title, file in pictures),
    ]
    write_text(out / PAGE, "\n".join(page) + "\n")
    return out / PAGE


def other_sensors(folder: Path, sensor: str) -> list[Row]:
    """Cells of all sensors but one in the common table of a folder; none without a table."""
    table = folder / TABLE
    return [row for row in read_table(table) if row.sensor != sensor] if table.is_file() else []


def publish_results(out: Path, folder: Path, sensor: str) -> None:
    """Copy page and plots to where the results of all sensors lie, and put the cells into their common table."""
    write_table(folder / TABLE, [*read_table(out / TABLE), *other_sensors(folder, sensor)])
    page = (out / PAGE).read_text(encoding="utf-8")
    for picture in sorted(out.glob("*.png")):
        name = f"label_efficiency_{sensor}_{picture.name}"
        page = page.replace(f"]({picture.name})", f"]({name})")
        with replacing(folder / name) as temporary:
            shutil.copyfile(picture, temporary)
    write_text(folder / f"label_efficiency_{sensor}.md", page)


def _hours(study: Study, store: Store) -> float:
    """What all that is done took, tuning and scoring included."""
    records = (store.record(job.name) for job in study.jobs())
    return sum(float(record["seconds"]) for record in records if record is not None) / 3600


def _methods(study: Study, rows: Sequence[Row]) -> list[str]:
    longest = fully_pretrained(rows)
    return [method.name for method in study.methods if method.name in longest]


def _percent(scores: Mapping[int, float]) -> list[float]:
    return [100 * score for score in scores.values()]


def _markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, ruler, *lines)]


def _score_tables(study: Study, rows: Sequence[Row]) -> list[str]:
    page: list[str] = []
    for mode in MODES:
        curves = {method: curve(rows, method, mode) for method in _methods(study, rows)}
        columns = sorted({scenes for scores in curves.values() for scenes in scores})
        if not columns:
            continue
        lines = [
            [method_name(method), *(Spread.of(_percent(scores.get(scenes, {}))).text() for scenes in columns)]
            for method, scores in curves.items()
            if scores
        ]
        header = ["scenes", *(f"{n} ({100 * n / study.total_scenes:.3g} %)" for n in columns)]
        page += ["", f"## {_TITLES[mode]}", "", *_markdown(header, lines)]
    return page


def _lead_text(values: Sequence[float]) -> str:
    if not values:
        return "–"
    probability = p_value(values)
    written = f"{probability:.3f}" if probability >= 0.001 else "<.001"
    return f"{Spread.of([100 * v for v in values]).text()} ({written})"


def _lead_table(study: Study, rows: Sequence[Row]) -> list[str]:
    lines, columns = [], sorted({scenes for mode in MODES for scenes in curve(rows, JEPA, mode)})
    for mode in MODES:
        for method in _methods(study, rows):
            found = leads(rows, JEPA, method, mode) if method != JEPA else {}
            if found:
                shown = [_lead_text(list(found.get(scenes, {}).values())) for scenes in columns]
                lines.append([method_name(method), _TITLES[mode].lower(), *shown])
    header = ["JEPA less", "mode", *map(str, columns)]
    title = [
        "",
        "## JEPA's lead, by labelled scenes",
        "",
        "mAP, seed by seed on the same labelled scenes; in brackets the p of a paired t-test.",
        "",
    ]
    return [*title, *_markdown(header, lines)] if lines else []


def _longer_table(study: Study, rows: Sequence[Row]) -> list[str]:
    if study.longer is None or not any(row.steps == study.longer.steps for row in rows):
        return []
    lines = []
    for steps in (study.steps, study.longer.steps):
        for method in study.longer.methods:
            scores = curve(rows, method, "end_to_end", steps=steps)
            shown = [Spread.of(_percent(scores.get(scenes, {}))).text() for scenes in study.longer.scenes]
            lines.append([str(steps), method_name(method), *shown])
        for method in study.longer.methods:
            found = leads(rows, JEPA, method, "end_to_end", steps)
            if method != JEPA and found:
                shown = [_lead_text(list(found.get(scenes, {}).values())) for scenes in study.longer.scenes]
                lines.append([str(steps), f"JEPA less {method_name(method)}", *shown])
    title = ["", "## Detectors trained for longer, end to end, by labelled scenes", ""]
    return [*title, *_markdown(["steps", "", *map(str, study.longer.scenes)], lines)]


def _needed_table(study: Study, rows: Sequence[Row]) -> list[str]:
    scratch = curve(rows, SCRATCH, "end_to_end")
    if not with_all_labels(rows, SCRATCH, "end_to_end"):
        return []
    target = means(scratch)[max(scratch)]
    own = labels_to_reach(means(scratch), target)
    assert own is not None, "it has that score with all of them"
    lines = [[method_name(SCRATCH), _TITLES["end_to_end"].lower(), str(own), "1"]]
    for mode in MODES:
        for method in _methods(study, rows):
            scores = curve(rows, method, mode)
            if method != SCRATCH and scores:
                scenes = labels_to_reach(means(scores), target)
                bound = "" if scenes and scenes.exact else "≥ "
                times = f"{bound}{own.amount / scenes.amount:.2g}" if scenes and own.exact else "–"
                lines.append([method_name(method), _TITLES[mode].lower(), str(scenes or "not reached"), times])
    title = ["", "## Labels needed to reach the score of scratch with all labels", ""]
    note = f"{100 * target:.1f} mAP, end to end with {max(scratch)} scenes; between the amounts tried, interpolated."
    return [*title, note, "", *_markdown(["method", "mode", "scenes needed", "times fewer than scratch"], lines)]


def _length_table(study: Study, rows: Sequence[Row]) -> list[str]:
    place = compute_place(rows)
    if place is None:
        return []
    by_length = pretraining_lengths(rows, *place)
    lengths = sorted({length for found in by_length.values() for length in found})
    lines = []
    for method in (method.name for method in study.methods if method.name in by_length):
        line = [method_name(method)]
        for length in lengths:
            scores, ours = by_length[method].get(length, {}), by_length.get(JEPA, {}).get(length, {})
            lead = [ours[seed] - score for seed, score in scores.items() if seed in ours]
            line += [Spread.of(_percent(scores)).text(), _lead_text(lead if method != JEPA else [])]
        lines.append(line)
    title = ["", f"## Every method by its steps of pre-training, {_name(place[0])}, {place[1]} labelled scenes", ""]
    header = ["method", *(text for length in lengths for text in (f"{length} steps", "JEPA less it (p)"))]
    return [*title, *_markdown(header, lines)]


def _claim_lines(rows: Sequence[Row], sensor: str, backbones: Mapping[Pretraining, Mapping[str, Any]]) -> list[str]:
    answers = findings(rows, sensor, _costs(backbones, "pretrain_seconds"))
    return [f"{n}. {claim.claim}: **{claim.answer}**. {claim.evidence}" for n, claim in enumerate(answers, 1)]


def _costs(backbones: Mapping[Pretraining, Mapping[str, Any]], what: str) -> dict[tuple[str, int], float]:
    """Mean over seeds, by method and steps."""
    found: dict[tuple[str, int], list[float]] = {}
    for job, record in backbones.items():
        if job.steps:
            cost = job.steps * record["batch_size"] if what == "samples" else record[what]
            found.setdefault((job.method, job.steps), []).append(float(cost))
    return {key: statistics.fmean(values) for key, values in found.items()}


def _settings_table(study: Study, store: Store) -> list[str]:
    lines = []
    for method in study.methods:
        for mode in method.modes:
            done = trial_scores(study.trials(method.name, mode), store)
            if done:
                tried = scores_by_setting(done).values()
                listed = ", ".join(Spread.of([100 * score for score in given]).text() for given in tried)
                chosen = ", ".join(f"{name} {value:g}" for name, value in best_setting(done).definition().items())
                lines.append([method_name(method.name), _TITLES[mode].lower(), listed, chosen])
    title = ["", f"## Settings, chosen on validation scenes with {study.tuning.scenes} labelled scenes", ""]
    return [*title, *_markdown(["method", "mode", "mAP of the settings tried", "chosen"], lines)] if lines else []


def _backbone_table(rows: Sequence[Row], backbones: Mapping[Pretraining, Mapping[str, Any]]) -> list[str]:
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for job, record in backbones.items():
        groups.setdefault((job.method, job.steps), []).append(record)
    names = ("pretrain_seconds", "rank_centred", "rank_uncentred", "probe_precision", "probe_chance")
    lines = []
    for (method, steps), records in groups.items():
        values = [[float(r[name]) for r in records if r.get(name) is not None] for name in names]
        digits = (0, 1, 1, 3, 3)
        shown = [Spread.of(v).text(d) for v, d in zip(values, digits, strict=True)]
        lines.append([method_name(method), str(steps), *shown])
    header = ["method", "steps", "time (s)", "RankMe centred", "uncentred", "probe (AP)", "chance"]
    return ["", "## Backbones, without labels", "", *_markdown(header, lines)] if lines else []


def _draw(out: Path, rows: Sequence[Row], backbones: Mapping[Pretraining, Mapping[str, Any]]) -> list[tuple[str, str]]:
    pictures = []
    longest = fully_pretrained(rows)
    methods = [method for method in dict.fromkeys(job.method for job in backbones) if method in longest]
    for mode in MODES:
        curves: dict[str, Curve] = {method: curve(rows, method, mode) for method in methods}
        scores = {
            method: {float(scenes): _percent(by_seed) for scenes, by_seed in found.items()}
            for method, found in curves.items()
            if found
        }
        if scores:
            figure = score_lines_figure(scores, horizontal="labelled scenes", vertical=f"mAP (%), {_name(mode)}")
            pictures.append((f"Score against labels, {_name(mode)}", _save(figure, out / f"labels_{mode}.png")))
    place = compute_place(rows)
    if place is not None:
        where = f"{_name(place[0])}, {place[1]} labelled scenes"
        for what, title in (("pretrain_seconds", "seconds of pre-training"), ("samples", "samples of pre-training")):
            by_cost = {
                method: {cost: _percent(by_seed) for cost, by_seed in points.items()}
                for method, points in compute_curves(rows, _costs(backbones, what), *place).items()
                if method in longest
            }
            if by_cost:
                figure = score_lines_figure(by_cost, horizontal=title, vertical=f"mAP (%), {where}", ticks="{:.0f}")
                file = _save(figure, out / f"compute_{what.removeprefix('pretrain_')}.png")
                pictures.append((f"Score against {title}, {where}", file))
        for measure, title in (
            ("rank_centred", "RankMe (centred)"),
            ("probe_precision", "probe for hidden cells (AP)"),
        ):
            points: dict[str, list[tuple[float, float]]] = {}
            for row in of_the_grid(rows):
                record = backbones.get(Pretraining(row.method, row.pretrain_seed, row.pretrain_steps), {})
                if (row.mode, row.scenes) == place and record.get(measure) is not None:
                    points.setdefault(row.method, []).append((float(record[measure]), 100 * row.mAP))
            if points:
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
