"""The page of ``avjepa inspect``: what is off comes first, then every check with its table, then pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from avjepa.data.inspection.check import Check
from avjepa.errors import counted
from avjepa.report.page import Cell, ReportPage
from avjepa.report.sample_pictures import SamplePictures

_LISTED = 100


def write_inspection_page(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, Cell],
    checks: Sequence[Check],
    blocked: str = "",
    findings: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    commands: Sequence[Sequence[Cell]] = (),
    channels: Sequence[Sequence[Cell]] = (),
    keyframe: tuple[str, SamplePictures] | None = None,
) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        title: which data set it is.
        facts: how much there is.
        checks: of labels and points.
        blocked: what is broken and stops a training; empty if nothing is.
        findings: by title, what is broken or implausible in the files: where, and what.
        commands: split, command, outcome and reason.
        channels: channel, what it is used as, and what is there.
        keyframe: its name and pictures; ``None`` where none can be shown.
    """
    page = ReportPage(f"Inspection of {title}", "What a training would take the labels and points to mean.")
    off = [(check.name, verdict) for check in checks for verdict in check.verdicts]
    page.section("Verdict")
    sentence = "Nothing is off." if not off else f"{counted(len(off), 'thing')} {'is' if len(off) == 1 else 'are'} off."
    lines = [f"- **{name}**: {verdict}" for name, verdict in off]
    broken = f"\n\n**Broken**: {blocked}" if blocked else ""
    page.add_verdict(f"**{sentence}**{broken}" + ("\n\n" + "\n".join(lines) if lines else ""))
    page.add_facts(facts)
    if keyframe is not None:
        name, pictures = keyframe
        page.section("One keyframe")
        page.add_text(f"{name}. Boxes of the labels, as they are taught; colours are classes.")
        pictures.add_to(page)
    page.section("Checks")
    for check in checks:
        page.add_text(f"**{check.name}**: {check.measured}." + "".join(f"\n\n- {one}" for one in check.verdicts))
        if check.rows:
            page.add_table(check.rows, check.columns)
    if commands:
        page.section("What the commands will do")
        page.add_table(commands, ("split", "command", "outcome", "because of"))
    if channels:
        page.section("Sensors")
        page.add_table(channels, ("channel", "used as", "keyframes", "sweeps", "holds"))
    for heading, found in (findings or {}).items():
        page.section(f"{heading} ({len(found)})")
        page.add_table(found[:_LISTED], ("where", "what")) if found else page.add_text("None.")
        if len(found) > _LISTED:
            page.add_text(f"And {len(found) - _LISTED} more; `--json` lists them all.")
    page.write(path)
