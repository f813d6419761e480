"""A dataset's report as text and tables for a terminal of any width."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from avjepa.data.inspection.rendering import rendered_checks
from avjepa.data.nuscenes.inspection.report import ChannelReport, DatasetReport, Finding, Verdict
from avjepa.errors import counted

_SHOWN = 40


def rendered(report: DatasetReport) -> RenderableType:
    """What a dataset holds, what is broken, what is not plausible, and at the end what can be done with it."""
    return Group(*_parts(report))


def _parts(report: DatasetReport) -> Iterator[RenderableType]:
    yield Text(
        f"{report.dataroot} · {report.version}\n"
        f"{counted(report.scenes, 'scene')}, {counted(report.keyframes, 'keyframe')}, "
        f"{counted(report.moments, 'moment')}"
    )
    yield Text("splits: " + (", ".join(f"{k} ({counted(n, 'scene')})" for k, n in report.splits.items()) or "none"))
    yield _sensors(report.channels)
    if report.boxes is None:
        yield Text("no annotations")
    else:
        boxes = Table("class", "boxes", caption=counted(report.instances or 0, "instance"), box=box.SIMPLE)
        for name, number in report.boxes.items():
            boxes.add_row(Text(name), str(number))
        yield boxes
    yield from _findings("problems", report.problems)
    yield from _findings("warnings", report.warnings)
    if report.checks:
        yield rendered_checks(report.checks)
    yield _verdicts(report.verdicts)


def _sensors(channels: Sequence[ChannelReport]) -> Table:
    table = Table(
        Column("channel", no_wrap=True), "used as", "keyframes", "sweeps", "present", "opened", "holds", box=box.SIMPLE
    )
    for channel in channels:
        holds = ", ".join(f"{size} pixels ({n})" for size, n in channel.image_sizes.items())
        if channel.points:
            holds += "{} / {:.0f} / {} points".format(*channel.points)
        present = "–" if channel.present is None else str(channel.present)
        counts = (str(channel.keyframes), str(channel.sweeps), present, str(channel.opened))
        table.add_row(Text(channel.channel), channel.sensor, *counts, holds)
    return table


def _findings(title: str, findings: Sequence[Finding]) -> Iterator[RenderableType]:
    yield Text(f"{len(findings)} {title.removesuffix('s') if len(findings) == 1 else title}{':' if findings else ''}")
    for finding in findings[:_SHOWN]:
        yield Padding(Text(f"{finding.where}: {finding.problem}", overflow="fold"), (0, 0, 0, 2))
    if len(findings) > _SHOWN:
        yield Text(f"  … and {len(findings) - _SHOWN} more; --json lists them all")


def _verdicts(verdicts: Sequence[Verdict]) -> Table:
    table = Table("split", "command", "outcome", "because of", box=box.SIMPLE)
    for verdict in verdicts:
        table.add_row(Text(verdict.split), verdict.command, verdict.outcome, Text(verdict.why))
    return table
