"""Events as a table and as a list for a file."""

import math
from collections import defaultdict
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from avjepa.data.protocol import DrivingDataset
from avjepa.errors import counted
from avjepa.evaluate.reidentification.events import GAPS, Queries, gap_range


def events_table(title: str, queries: Queries) -> Table:
    """Numbers of events by kind and gap, with newborns and the mean size of the events' galleries.

    Args:
        title: says what was searched, above.
        queries: what was found.
    """
    sightings = queries.sightings
    ranges, kind = gap_range(queries.gap), sightings.kind[queries.sighting]
    counts = np.zeros((len(sightings.kinds), len(GAPS) + 1), np.int64)
    np.add.at(counts, (kind, ranges), 1)
    gallery = np.bincount(kind, queries.gallery_size * ~queries.is_newborn, minlength=len(counts))
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("class")
    for heading in (*(f"{name} s" for name in GAPS), "events", "gallery", "newborn"):
        table.add_column(heading, justify="right")

    def row(name: str, count: Any, entries: float) -> None:
        events = int(count[:-1].sum())
        mean = f"{entries / events:.1f}" if events else "–"
        table.add_row(name, *(f"{number:,}" for number in (*count[:-1], events)), mean, f"{count[-1]:,}")

    for number in np.flatnonzero(counts[: sightings.classes].any(1)):
        row(sightings.kinds[number], counts[number], float(gallery[number]))
    if counts[sightings.classes :].any():
        row("of no class", counts[sightings.classes :].sum(0), float(gallery[sightings.classes :].sum()))
    scenes = counted(len(np.unique(sightings.scene)), "scene")
    table.add_section()
    row(f"all, {scenes}", counts.sum(0), float(gallery.sum()))
    return table


def listed(queries: Queries, source: DrivingDataset) -> dict[str, Any]:
    """Every event and every newborn as plain values, in order of scene and time.

    Args:
        queries: of the data set.
        source: names its objects.
    """
    sightings = queries.sightings
    names = {int(track): source.track_name(int(track)) for track in np.unique(sightings.track)}
    gallery: dict[int, list[dict[str, str]]] = defaultdict(list)
    for query, row in zip(queries.pair_query.tolist(), queries.pair_sighting.tolist(), strict=True):
        last_seen = sightings.tokens[sightings.keyframe[row]]
        gallery[query].append({"object": names[int(sightings.track[row])], "last_seen": last_seen})
    events, newborns = [], []
    for query in np.lexsort((queries.sighting, sightings.keyframe[queries.sighting])).tolist():
        row, gap, distance = int(queries.sighting[query]), float(queries.gap[query]), None
        if math.isfinite(sightings.distance[row]):
            distance = round(float(sightings.distance[row]), 3)
        entry = {
            "scene": sightings.scenes[sightings.scene[row]],
            "keyframe": sightings.tokens[sightings.keyframe[row]],
            "object": names[int(sightings.track[row])],
            "class": sightings.kinds[sightings.kind[row]],
            "lidar_points": int(sightings.points[row]),
            "distance": distance,
        }
        if math.isnan(gap):
            newborns.append(entry | {"gallery": gallery[query]})
        else:
            last_seen = sightings.tokens[sightings.keyframe[queries.last[query]]]
            events.append(entry | {"last_seen": last_seen, "gap": round(gap, 3), "gallery": gallery[query]})
    return {"events": events, "newborn": newborns}
