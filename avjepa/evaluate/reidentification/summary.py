"""What the table of re-identification says over seeds: figures and tables in Markdown."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from avjepa.evaluate.reidentification.comparison import NO_SENSORS
from avjepa.evaluate.reidentification.events import GAPS
from avjepa.evaluate.reidentification.methods import WITH_EMBEDDINGS
from avjepa.evaluate.reidentification.slices import ALL, OVER_2S
from avjepa.evaluate.reidentification.table import BOXES, RANGES, Row
from avjepa.files import replacing, write_text
from avjepa.ranges import Number
from avjepa.report.reidentification import Panel, Point, rank1_figure
from avjepa.report.seed_statistics import Spread

_RESOLUTION = 120


def write_summary(table: Path, rows: Sequence[Row]) -> Path:
    """Write a page, and a figure for annotated boxes and for detected ones, beside the table; returns the page's path.

    Args:
        table: the CSV file.
        rows: of it.
    """
    lines = [f"Of `{table.name}`: rank-1 in per cent, mean ± standard deviation over seeds."]
    for boxes in BOXES:
        found = list(panels(rows, boxes))
        if found:
            picture = table.with_name(f"{table.stem}_{boxes}.png")
            with replacing(picture) as temporary:
                rank1_figure(found).savefig(temporary, format="png", dpi=_RESOLUTION, facecolor="white")
            lines += ["", f"# At {boxes} boxes", "", f"![Rank-1 against the gap, at {boxes} boxes]({picture.name})"]
            for sensors, backbone in _networks(rows, boxes):
                lines += ["", *gap_table(rows, boxes, sensors, backbone)]
            lines += label_table(rows, boxes)
    page = table.with_suffix(".md")
    write_text(page, "\n".join(lines) + "\n")
    return page


def panels(rows: Sequence[Row], boxes: str) -> Iterator[Panel]:
    """For every network, rank-1 of all methods against the gap, with all labels that there are rows of.

    Args:
        rows: of a table.
        boxes: of ``BOXES``.
    """
    for sensors, backbone in _networks(rows, boxes):
        methods: dict[str, list[Point]] = {}
        events: dict[str, Number] = {}
        for gap in GAPS:
            cells = _by_method(rows, boxes, sensors, backbone, gap)
            events[gap] = statistics.fmean(row.events for cell in cells.values() for row in cell) if cells else 0
            for method, cell in cells.items():
                spread = Spread.of([row.rank1 for row in cell])
                if spread.seeds:
                    std = spread.std or 0.0
                    interval = (spread.mean - std, spread.mean + std)
                    methods.setdefault(method, []).append(Point(gap, spread.mean, interval))
        yield Panel(_title(sensors, backbone), methods, events)


def gap_table(rows: Sequence[Row], boxes: str, sensors: str, backbone: str) -> list[str]:
    """Rank-1 of all methods by range of gaps, in Markdown.

    Args:
        rows: of a table.
        boxes: of ``BOXES``.
        sensors: of the network.
        backbone: of the network.
    """
    cells = {gap: _by_method(rows, boxes, sensors, backbone, gap) for gap in RANGES}
    methods = list(dict.fromkeys(method for cell in cells.values() for method in cell))
    lines = [
        f"| {_title(sensors, backbone)} | {' | '.join(gap if gap == ALL else f'{gap} s' for gap in RANGES)} | AUROC |",
        f"|---|{'---:|' * (len(RANGES) + 1)}",
    ]
    events = {gap: Spread.of([float(row.events) for cell in cells[gap].values() for row in cell]) for gap in RANGES}
    lines.append(f"| events | {' | '.join(f'{events[gap].mean:,.0f}' for gap in RANGES)} | |")
    for method in methods:
        rank1 = (Spread.of([row.rank1 for row in cells[gap].get(method, ())]).text() for gap in RANGES)
        auroc = Spread.of([row.auroc for row in cells[ALL].get(method, ())]).text(2)
        lines.append(f"| {method} | {' | '.join(rank1)} | {auroc} |")
    return lines


def label_table(rows: Sequence[Row], boxes: str) -> list[str]:
    """Rank-1 of the methods with embeddings by the share of labelled scenes, in Markdown; nothing for one share.

    Args:
        rows: of a table.
        boxes: of ``BOXES``.
    """
    learned = [row for row in rows if row.boxes == boxes and row.method in WITH_EMBEDDINGS]
    shares = sorted({row.labels for row in learned})
    if len(shares) < 2:
        return []
    lines = ["", f"| labelled scenes | {' | '.join(f'{share:g} %' for share in shares)} |"]
    lines.append(f"|---|{'---:|' * len(shares)}")
    for sensors, backbone in dict.fromkeys((row.sensors, row.backbone) for row in learned):
        for method in WITH_EMBEDDINGS:
            for gap in (OVER_2S, ALL):
                of_network = [
                    row
                    for row in learned
                    if (row.sensors, row.backbone, row.method, row.gap) == (sensors, backbone, method, gap)
                ]
                cells = (Spread.of([row.rank1 for row in of_network if row.labels == share]).text() for share in shares)
                when = "all gaps" if gap == ALL else f"{gap} s"
                lines.append(f"| {_title(sensors, backbone)}: {method}, {when} | {' | '.join(cells)} |")
    return lines


def _title(sensors: str, backbone: str) -> str:
    return "no network" if sensors == NO_SENSORS else f"{sensors}, {backbone}"


def _networks(rows: Sequence[Row], boxes: str) -> list[tuple[str, str]]:
    """Sensors and backbone of all that were scored; none of both where no row is of a network."""
    found = dict.fromkeys((row.sensors, row.backbone) for row in rows if row.boxes == boxes)
    of_networks = [network for network in found if network[0] != NO_SENSORS]
    return of_networks or list(found)


def _by_method(rows: Sequence[Row], boxes: str, sensors: str, backbone: str, gap: str) -> dict[str, list[Row]]:
    """The rows of a network with its most labels, and those of no network, by method: a row for every seed."""
    own = [row for row in rows if row.boxes == boxes and row.gap == gap]
    most = max((row.labels for row in own if (row.sensors, row.backbone) == (sensors, backbone)), default=0.0)
    result: dict[str, list[Row]] = {}
    for row in own:
        if row.sensors == NO_SENSORS or (row.sensors, row.backbone, row.labels) == (sensors, backbone, most):
            result.setdefault(row.method, []).append(row)
    return result
