"""The tables of a study's page, in Markdown."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from avjepa.errors import counted
from avjepa.report.seed_statistics import Spread, paired_p_value
from avjepa.report.style import method_name
from avjepa.study.jobs import Mode, Pretraining
from avjepa.study.plan import Study
from avjepa.study.store import Store
from avjepa.study.summary import (
    JEPA,
    LEAST_SCORE,
    SCRATCH,
    Row,
    compute_place,
    curve,
    fully_pretrained,
    labels_to_reach,
    leads,
    longest_training,
    means,
    pretraining_lengths,
    with_all_labels,
)
from avjepa.study.tuning import best_setting, scores_by_setting, trial_scores

MODES: tuple[Mode, ...] = ("frozen", "end_to_end")
_TITLES = {"frozen": "Frozen backbone", "end_to_end": "End to end"}


def _methods(study: Study, rows: Sequence[Row]) -> list[str]:
    """By name; those to which means are added too."""
    longest = fully_pretrained(rows)
    with_means = [f"{method}+{means.name}" for means in study.means for method in means.methods]
    return [name for name in (*(method.name for method in study.methods), *with_means) if name in longest]


def left_out(rows: Sequence[Row]) -> list[str]:
    """A line about methods that the tables and plots by label amount do not show, if there are any."""
    steps: dict[str, int] = {}
    for row in rows:
        steps[row.method] = max(row.pretrain_steps, steps.get(row.method, 0))
    missing = [f"{method_name(name)} ({n:,})" for name, n in steps.items() if name not in fully_pretrained(rows)]
    if not missing:
        return []
    longest = counted(max(steps.values()), "step")
    return [
        f"Not compared by labels, as pre-trained for fewer steps than the longest, {longest}: {', '.join(missing)}."
    ]


def percent(scores: Mapping[int, float]) -> list[float]:
    """Scores that are shares, in per cent."""
    return [100 * score for score in scores.values()]


def _markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, ruler, *lines)]


def score_tables(study: Study, rows: Sequence[Row]) -> list[str]:
    """One table a mode: methods by labelled scenes."""
    page: list[str] = []
    for mode in MODES:
        curves = {method: curve(rows, method, mode) for method in _methods(study, rows)}
        columns = sorted({scenes for scores in curves.values() for scenes in scores})
        if not columns:
            continue
        lines = [
            [method_name(method), *(Spread.of(percent(scores.get(scenes, {}))).text() for scenes in columns)]
            for method, scores in curves.items()
            if scores
        ]
        header = ["scenes", *(f"{n} ({100 * n / study.total_scenes:.3g} %)" for n in columns)]
        page += ["", f"## {_TITLES[mode]}", "", *_markdown(header, lines)]
    return page


def _lead_text(values: Sequence[float]) -> str:
    if not values:
        return "–"
    lead = Spread.of([100 * v for v in values]).text()
    if len(values) < 2:  # of one seed nothing can be tested
        return lead
    probability = paired_p_value(values)
    written = f"{probability:.3f}" if probability >= 0.001 else "<.001"
    return f"{lead} ({written})"


def lead_table(study: Study, rows: Sequence[Row]) -> list[str]:
    """What JEPA is ahead of every other method."""
    lines, columns = [], sorted({scenes for mode in MODES for scenes in curve(rows, JEPA, mode)})
    for mode in MODES:
        for method in _methods(study, rows):
            found = leads(rows, JEPA, method, mode) if method.partition("+")[0] != JEPA else {}
            if found:
                shown = [_lead_text(list(found.get(scenes, {}).values())) for scenes in columns]
                lines.append([method_name(method), _TITLES[mode].lower(), *shown])
    header = ["JEPA less", "mode", *map(str, columns)]
    title = [
        "",
        "## JEPA's lead, by labelled scenes",
        "",
        "mAP, seed by seed on the same labelled scenes; in brackets the p of a paired t-test, of each lead for itself. "
        "Where nothing is ahead, one in twenty is still below .05.",
        "",
    ]
    return [*title, *_markdown(header, lines)] if lines else []


def means_table(study: Study, rows: Sequence[Row]) -> list[str]:
    """What every means adds to the methods that have it."""
    lines, columns = [], sorted({scenes for added in study.means for scenes in added.scenes})
    for added, method, mode in ((a, method, mode) for a in study.means for method in a.methods for mode in a.modes):
        found = leads(rows, f"{method}+{added.name}", method, mode)
        if found:
            shown = [_lead_text(list(found.get(scenes, {}).values())) for scenes in columns]
            lines.append([method_name(added.name), method_name(method), _TITLES[mode].lower(), *shown])
    if not lines:
        return []
    title = ["", "## What further means add, by labelled scenes", "", "mAP, as above.", ""]
    learned = [f"- {method_name(added.name)}: {added.learned}." for added in study.means if added.learned]
    table = _markdown(["means", "to", "mode", *map(str, columns)], lines)
    return [*title, *table, *(["", *learned] if learned else [])]


def longer_table(study: Study, rows: Sequence[Row]) -> list[str]:
    """Detectors that were trained for longer; none where the study has none."""
    if study.longer is None or not any(row.steps == study.longer.steps for row in rows):
        return []
    lines, columns = [], study.longer.scenes
    for mode, steps in itertools.product(study.longer.modes, (study.steps, study.longer.steps)):
        where = [_TITLES[mode].lower(), f"{steps:,}"]
        for method in study.longer.methods:
            scores = curve(rows, method, mode, steps)
            if scores.keys() & set(columns):
                shown = [Spread.of(percent(scores.get(scenes, {}))).text() for scenes in columns]
                lines.append([method_name(method), *where, *shown])
        for method in study.longer.methods:
            found = leads(rows, JEPA, method, mode, steps) if method != JEPA else {}
            if found.keys() & set(columns):
                shown = [_lead_text(list(found.get(scenes, {}).values())) for scenes in columns]
                lines.append([f"JEPA less {method_name(method)}", *where, *shown])
    title = ["", "## Detectors trained for longer, by labelled scenes", ""]
    return [*title, *_markdown(["", "mode", "steps", *map(str, columns)], lines)]


def needed_tables(study: Study, rows: Sequence[Row]) -> list[str]:
    """Labels with which every method has the score of scratch with all of them; of longer trainings too."""
    lengths = dict.fromkeys((study.steps, longest_training(rows) or study.steps))
    return [line for steps in lengths for line in _needed_table(study, [row for row in rows if row.steps == steps])]


def _needed_table(study: Study, rows: Sequence[Row]) -> list[str]:
    scratch = curve(rows, SCRATCH, "end_to_end")
    if not with_all_labels(rows, SCRATCH, "end_to_end"):
        return []
    target = means(scratch)[max(scratch)]
    if target < LEAST_SCORE:
        return []
    own = labels_to_reach(means(scratch), target)
    assert own is not None, "it has that score with all of them"
    lines = [[method_name(SCRATCH), _TITLES["end_to_end"].lower(), str(own), "1"]]
    for mode in MODES:
        for method in _methods(study, rows):
            scores = curve(rows, method, mode)
            if (method, mode) != (SCRATCH, "end_to_end") and scores:
                scenes = labels_to_reach(means(scores), target)
                bound = "" if scenes and scenes.exact else "≥ "
                times = f"{bound}{own.amount / scenes.amount:.2g}" if scenes and own.exact else "–"
                lines.append([method_name(method), _TITLES[mode].lower(), str(scenes or "not reached"), times])
    after = f"after {counted(rows[0].steps, 'step')}"
    title = ["", f"## Labels needed to reach the score of scratch with all labels, {after}", ""]
    every = counted(max(scratch), "scene")
    note = (
        f"{100 * target:.1f} mAP, end to end with {every}; between the amounts tried, interpolated in their logarithm."
    )
    return [*title, note, "", *_markdown(["method", "mode", "scenes needed", "times fewer than scratch"], lines)]


def length_table(study: Study, rows: Sequence[Row]) -> list[str]:
    """Methods by their steps of pre-training, where most lengths were tried."""
    place = compute_place(rows)
    if place is None:
        return []
    by_length = pretraining_lengths(rows, *place)
    lengths = sorted({length for found in by_length.values() for length in found})
    if len(lengths) == len([method for method in by_length if "+" not in method]) == 1:
        return []
    lines = []
    for method in (method.name for method in study.methods if method.name in by_length):
        line = [method_name(method)]
        for length in lengths:
            scores, ours = by_length[method].get(length, {}), by_length.get(JEPA, {}).get(length, {})
            lead = [ours[seed] - score for seed, score in scores.items() if seed in ours]
            line += [Spread.of(percent(scores)).text(), _lead_text(lead if method != JEPA else [])]
        lines.append(line)
    where = f"{place[0].replace('_', ' ')}, {counted(place[1], 'labelled scene')}"
    title = ["", f"## Every method by its steps of pre-training, {where}", ""]
    header = ["method", *(text for length in lengths for text in (counted(length, "step"), "JEPA less it (p)"))]
    return [*title, *_markdown(header, lines)]


def settings_table(study: Study, store: Store) -> list[str]:
    """What was tried and chosen for every method and mode."""
    lines = []
    for method in study.methods:
        for mode in method.modes:
            done = trial_scores(study.trials(method.name, mode), store)
            if done:
                tried = scores_by_setting(done).values()
                listed = ", ".join(Spread.of([100 * score for score in given]).text() for given in tried)
                chosen = ", ".join(f"{name} {value:g}" for name, value in best_setting(done).definition().items())
                lines.append([method_name(method.name), _TITLES[mode].lower(), listed, chosen])
    title = ["", f"## Settings, chosen on validation scenes with {counted(study.tuning.scenes, 'labelled scene')}", ""]
    return [*title, *_markdown(["method", "mode", "mAP of the settings tried", "chosen"], lines)] if lines else []


def backbone_table(rows: Sequence[Row], backbones: Mapping[Pretraining, Mapping[str, Any]]) -> list[str]:
    """Time and diagnostics of the pre-trainings, means over seeds."""
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for job, outcome in backbones.items():
        groups.setdefault((job.method, job.steps), []).append(outcome)
    names = ("pretrain_seconds", "rank_centred", "rank_uncentred", "probe_precision", "probe_chance")
    lines = []
    for (method, steps), outcomes in groups.items():
        values = [[float(r[name]) for r in outcomes if r.get(name) is not None] for name in names]
        digits = (0, 1, 1, 3, 3)
        shown = [Spread.of(v).text(d) for v, d in zip(values, digits, strict=True)]
        lines.append([method_name(method), str(steps), *shown])
    header = ["method", "steps", "time (s)", "RankMe centred", "uncentred", "probe (AP)", "chance"]
    return ["", "## Backbones, without labels", "", *_markdown(header, lines)] if lines else []
