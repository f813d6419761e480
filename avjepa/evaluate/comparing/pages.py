"""A comparison for readers: Markdown, and one HTML page that holds its pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avjepa.errors import counted
from avjepa.evaluate.comparing import tables
from avjepa.report.page import ReportPage
from avjepa.report.release_changes import ChangeBar, changes_figure

METHOD = (
    "Draws: scenes are drawn anew with replacement, each with all its keyframes, the same ones for both releases. "
    "A figure fails if its loss is surely more than it may be; sure means with a confidence of {confidence:.0f} % over "
    "all figures at once. How detections that find nothing count in a slice is told in `avjepa.evaluate.comparing."
    "slices`; worst scenes are ranked by the mAP of the classes that occur in them."
)


@dataclass(frozen=True)
class Example:
    """A picture of a keyframe, and what to say below it."""

    png: bytes
    caption: str


def verdict(record: Mapping[str, Any]) -> str:
    """What the gate says, in a sentence."""
    figures = [one for figures in record["figures"].values() for one in figures]
    judged = sum(not one["not_judged"] for one in figures)
    looked = f"{counted(judged, 'figure')} judged over {counted(record['scenes'], 'scene')}"
    if record["passed"]:
        return f"passed: {record['new']} loses nothing against {record['old']} beyond what it may ({looked})"
    return f"failed: {record['new']} is stopped for {counted(len(record['failures']), 'reason')} ({looked})"


def notes(record: Mapping[str, Any]) -> list[str]:
    """What stands below the verdict, a line each."""
    lines = [f"- {one}" for one in record["failures"]]
    lines += [f"- new: {one}" for one in record["added"]]
    return lines + [f"- {one}" for one in record["notes"]]


def markdown_page(record: Mapping[str, Any]) -> str:
    """The comparison in Markdown."""
    lines = [f"# Release {record['new']} against {record['old']}", "", f"**{verdict(record)}**", ""]
    lines += [*notes(record), *([""] if notes(record) else []), _method(record), ""]
    for task, figures in record["figures"].items():
        lines += [f"## {task}", "", *tables.markdown(tables.FIGURES, tables.figure_rows(figures)), ""]
    for task, details in record["details"].items():
        lines += [f"## {task}: scenes with the largest loss", ""]
        lines += [*tables.markdown(tables.PLACES, tables.place_rows(details["worst_scenes"])), ""]
        lines += [f"## {task}: score from which on precision and recall are best together", ""]
        lines += [*tables.markdown(tables.THRESHOLDS, tables.threshold_rows(details["thresholds"])), ""]
    if record["costs"]:
        lines += ["## Cost", "", *tables.markdown(tables.COSTS, tables.cost_rows(record["costs"])), ""]
    return "\n".join(lines)


def html_page(record: Mapping[str, Any], examples: Sequence[Example]) -> ReportPage:
    """The comparison as a page, with charts and pictures."""
    about = f"{record['version']}, split {record['split']}, {counted(record['scenes'], 'scene')}"
    page = ReportPage(f"Release {record['new']} against {record['old']}", about)
    page.section("Verdict")
    page.add_verdict(f"**{verdict(record)}**\n\n" + "\n".join(notes(record)))
    page.add_text(_method(record))
    for task, figures in record["figures"].items():
        page.section(f"{task}: what changed")
        page.add_figure(
            changes_figure([_bar(one) for one in figures], f"{record['new']} − {record['old']}"),
            "Change of each figure, and where 95 % of the draws lie. Red fails, grey is not judged.",
            "points and intervals of the change of each figure",
        )
        page.add_table(tables.figure_rows(figures), tables.FIGURES, "Scores in points of 100.")
    for task, details in record["details"].items():
        page.section(f"{task}: scenes with the largest loss")
        if details["worst_scenes"]:
            page.add_table(tables.place_rows(details["worst_scenes"]), tables.PLACES)
        else:
            page.add_text("No scene got worse.")
        page.section(f"{task}: thresholds")
        rows = tables.threshold_rows(details["thresholds"])
        page.add_table(
            rows, tables.THRESHOLDS, "Score from which on precision and recall (within 2 m) are best together."
        )
    if examples:
        page.section("Examples")
        page.add_text(
            "The worst keyframe of each of the worst scenes, and the keyframes that got better most: annotated boxes "
            "filled, detections as outlines, those above the threshold of their release and class."
        )
        for example in examples:
            page.add_image(example.png, example.caption, example.caption)
    if record["costs"]:
        page.section("Cost")
        page.add_table(tables.cost_rows(record["costs"]), tables.COSTS)
    return page


def _method(record: Mapping[str, Any]) -> str:
    return METHOD.format(confidence=100 * record["gate"]["confidence"])


def _bar(one: Mapping[str, Any]) -> ChangeBar:
    change = 100 * (one["change"] or 0.0)
    low, high = (change if end is None else 100 * end for end in one["interval"])
    return ChangeBar(one["figure"], change, (low, high), 100 * one["most_loss"], one["fails"], not one["not_judged"])
