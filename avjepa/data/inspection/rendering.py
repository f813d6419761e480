"""Checks as text and tables for a terminal of any width."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from avjepa.data.inspection.check import Check
from avjepa.data.inspection.report import LabelReport
from avjepa.errors import counted


def rendered_checks(checks: Sequence[Check]) -> RenderableType:
    """A line for every check, and below it what is off; of checks that found something, also the table."""
    return Group(*_lines(checks))


def rendered_report(report: LabelReport) -> RenderableType:
    """How much there is, then the checks."""
    head = (
        f"{report.dataroot} · {report.version}\n{counted(report.scenes, 'scene')}, "
        f"{counted(report.keyframes, 'keyframe')}, {counted(report.moments, 'moment')}\n"
    )
    channels = ", ".join(f"{channel} ({use})" for channel, use in report.channels.items()) or "none"
    return Group(Text(f"{head}channels: {channels}"), rendered_checks(report.checks))


def _lines(checks: Sequence[Check]) -> Iterator[RenderableType]:
    off = sum(len(check.verdicts) for check in checks)
    yield Text(f"labels and points as a training takes them: {counted(off, 'thing') if off else 'nothing'} off", "bold")
    for check in checks:
        mark = "✗" if check.verdicts else "·"
        yield Padding(Text(f"{mark} {check.name}: {check.measured}", overflow="fold"), (0, 0, 0, 2))
        for verdict in check.verdicts:
            yield Padding(Text(verdict, "bold red", overflow="fold"), (0, 0, 0, 4))
        if check.verdicts and check.rows:
            table = Table(*check.columns, box=box.SIMPLE)
            for row in check.rows:
                table.add_row(*(Text(str(cell)) for cell in row))
            yield Padding(table, (0, 0, 0, 4))
