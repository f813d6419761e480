"""A study's results as files: the table of cells, a page in Markdown, plots; and where they are published."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avjepa.errors import UserError, counted
from avjepa.evaluate.detection.fast import OWN_EVALUATOR
from avjepa.files import replacing, write_text
from avjepa.report.style import method_name
from avjepa.study.findings import findings
from avjepa.study.jobs import Pretraining, Run
from avjepa.study.plan import Study
from avjepa.study.result_plots import PICTURES, costs, draw
from avjepa.study.result_tables import (
    backbone_table,
    lead_table,
    left_out,
    length_table,
    longer_table,
    means_table,
    needed_tables,
    score_tables,
    settings_table,
)
from avjepa.study.store import Store
from avjepa.study.summary import Row, read_table, write_table

TABLE, PAGE = "label_efficiency.csv", "summary.md"


def write_results(
    study: Study,
    store: Store,
    out: Path,
    command: str,
    data: Mapping[str, Any],
    others: Sequence[Row] = (),
    shared: str = "",
) -> Path:
    """Write table, plots and page of what is done so far; returns the page's path.

    Args:
        study: the grid.
        store: its outcomes.
        out: folder of the results.
        command: reproduces them.
        data: what the data are.
        others: cells of other sensors' studies, for the claim about all of them.
        shared: for what else the scored scenes were used, as in "training"; empty for nothing.
    """
    cells = [(job, store.outcome(job.name)) for job in study.jobs() if isinstance(job, Run)]
    rows = [_row(job, outcome, store) for job, outcome in cells if outcome is not None]
    backbones = {
        job: outcome
        for job in study.jobs()
        if isinstance(job, Pretraining) and (outcome := store.outcome(job.name)) is not None
    }
    write_table(out / TABLE, rows)
    for picture in (path for pattern in PICTURES for path in out.glob(pattern)):
        picture.unlink()  # of an earlier state of the study
    pictures = draw(out, rows, backbones)
    failures = [(name, store.failure(name)) for name in sorted(store.failed() & {job.name for job in study.jobs()})]
    page = [
        f"# Label efficiency: {study.sensor}",
        "",
        f"{len(rows)} of {counted(len(cells), 'cell')}. Command: `{command}`.",
        f"Data: {_described(data)}; {counted(study.total_scenes, 'scene')} with labels.",
        f"Hardware: {'; '.join(sorted({row.hardware for row in rows})) or 'none yet'}; "
        f"{_hours(study, store):.1f} hours of it in all.",
        f"Detectors are trained for {_steps_of(rows, study)}. Scores are mAP in per cent, by "
        f"{OWN_EVALUATOR} with the devkit's numbers, {_scored(shared)}, mean ± standard deviation "
        "over seeds; a seed draws the labelled scenes, the order of the data and the new weights"
        f"{_backbones_of(study)}.",
        *left_out(rows),
        *score_tables(study, rows),
        *lead_table(study, rows),
        *means_table(study, rows),
        *longer_table(study, rows),
        *needed_tables(study, rows),
        *length_table(study, rows),
        "",
        "## Claims",
        "",
        *_claim_lines([*rows, *others], study.sensor, backbones),
        *settings_table(study, store),
        *backbone_table(rows, backbones),
        *(["", "## Failures", ""] if failures else []),
        *(f"- `{name}`: {failure['reason']}" for name, failure in failures if failure is not None),
        "",
        *(f"![{title}]({file})" for title, file in pictures),
    ]
    write_text(out / PAGE, "\n".join(page) + "\n")
    return out / PAGE


def _steps_of(rows: Sequence[Row], study: Study) -> str:
    longer = sum(row.steps > study.steps for row in rows)
    return counted(study.steps, "step") + (
        f", {longer} of them for {study.longer.steps:,}" if longer and study.longer is not None else ""
    )


def _row(job: Run, outcome: Mapping[str, Any], store: Store) -> Row:
    try:
        return Row.of(outcome)
    except (KeyError, TypeError, ValueError) as error:
        path = store.outcome_path(job.name)
        raise UserError(f"{path}: is no outcome of a cell ({error}); delete it to have the job done again") from error


def other_sensors(folder: Path, sensor: str) -> list[Row]:
    """Cells of all sensors but one in the common table of a folder; none without a table."""
    table = folder / TABLE
    return [row for row in read_table(table) if row.sensor != sensor] if table.is_file() else []


def publish_results(out: Path, folder: Path, sensor: str) -> None:
    """Copy page and plots to where the results of all sensors lie, and put the cells into their common table."""
    write_table(folder / TABLE, [*read_table(out / TABLE), *other_sensors(folder, sensor)])
    page = (out / PAGE).read_text(encoding="utf-8")
    prefix = f"label_efficiency_{sensor}"
    earlier = {path for pattern in PICTURES for path in folder.glob(f"{prefix}_{pattern}")}
    for picture in sorted(path for path in out.glob("*.png") if f"]({path.name})" in page):
        published = folder / f"{prefix}_{picture.name}"
        page = page.replace(f"]({picture.name})", f"]({published.name})")
        with replacing(published) as temporary:
            shutil.copyfile(picture, temporary)
        earlier.discard(published)
    write_text(folder / f"{prefix}.md", page)
    for picture in earlier:  # of a state of the study that is no more
        picture.unlink()


def _backbones_of(study: Study) -> str:
    """Whether the spread over seeds holds that of pre-training."""
    trained = [method for method in study.methods if max(method.pretrain_steps)]
    shared = [method_name(method.name) for method in trained if method.one_backbone]
    if shared:
        return f". All seeds of {', '.join(shared)} share one pre-training, whose own spread is not in these figures"
    if trained and len(study.pretrain_seeds) < len(study.seeds):
        shared_by = f"{counted(len(study.pretrain_seeds), 'pre-training')} of every method"
        return f". {shared_by}, for {counted(len(study.seeds), 'seed')}"
    return ", and has a pre-training of its own" if trained else ""


def _described(values: Mapping[str, Any]) -> str:
    """Names and values in a line; those of a part in brackets."""
    shown = {name: f"({_described(v)})" if isinstance(v, Mapping) else v for name, v in values.items() if v}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _scored(shared: str) -> str:
    if shared:
        return f"**on scenes that were used for {shared} too, so that they say little**"
    return "on scenes on which no choice was made"


def _hours(study: Study, store: Store) -> float:
    """What all that is done took, tuning and scoring included."""
    outcomes = (store.outcome(job.name) for job in study.jobs())
    return sum(float(outcome["seconds"]) for outcome in outcomes if outcome is not None) / 3600


def _claim_lines(rows: Sequence[Row], sensor: str, backbones: Mapping[Pretraining, Mapping[str, Any]]) -> list[str]:
    answers = findings(rows, sensor, costs(backbones, "pretrain_seconds"))
    return [f"{n}. {claim.claim}: **{claim.answer}**. {claim.evidence}" for n, claim in enumerate(answers, 1)]
