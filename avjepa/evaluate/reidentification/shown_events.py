"""Events that are shown: a fair draw of right and wrong ones, and what each could be taken for."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from avjepa.data.arrays import Array
from avjepa.evaluate.reidentification.events import GAPS, Queries, gap_range
from avjepa.evaluate.reidentification.scores import Outcome

MOST_SHOWN = 5
"""Entries of a gallery; the object itself is shown besides, where it is not among them."""


@dataclass(frozen=True)
class Candidate:
    """An entry of an event's gallery.

    Attributes:
        pair: index among the queries' pairs.
        rank: by the method, from 1; entries of equal scores in the order of the gallery.
        motion_rank: by the Kalman filter.
    """

    pair: int
    rank: int
    motion_rank: int


@dataclass(frozen=True)
class ShownEvent:
    """An event and the best of its gallery.

    Attributes:
        query: index among the queries.
        gap: a range of ``GAPS``.
        is_right: whether the method puts the object itself first, before all others.
        gallery: number of entries.
        candidates: the best by the method, and the object itself.
    """

    query: int
    gap: str
    is_right: bool
    gallery: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Draw:
    """What was drawn, and what from.

    Attributes:
        events: by range of gaps, right ones first.
        found: number of right and of wrong events by range of gaps.
    """

    events: tuple[ShownEvent, ...]
    found: dict[str, tuple[int, int]]


def drawn_events(
    queries: Queries, scores: Float64[Array, "pair"], motion: Float64[Array, "pair"], number: int, seed: int
) -> Draw:
    """Draw events at random, as many right ones as wrong ones of each range of gaps, as far as there are any.

    An event with nothing in its gallery but the object itself is not drawn: there was no choice.

    Args:
        queries: all of a split.
        scores: of their pairs, by the method that is right or wrong.
        motion: of their pairs, by the Kalman filter.
        number: of right ones, and of wrong ones, of each range.
        seed: of the draw: it, and nothing that a picture shows, chooses.
    """
    draw = np.random.default_rng(seed)
    first = Outcome.of(queries, scores).first
    ranges = gap_range(queries.gap)
    events: list[ShownEvent] = []
    found = {}
    for place, name in enumerate(GAPS):
        of_range = (ranges == place) & (queries.gallery_size > 1)
        parts = [np.flatnonzero(of_range & right) for right in (first == 1, first < 1)]
        found[name] = (len(parts[0]), len(parts[1]))
        for is_right, part in zip((True, False), parts, strict=True):
            chosen = np.sort(draw.permutation(part)[:number]).tolist()
            events += [_shown(queries, query, name, is_right, scores, motion) for query in chosen]
    return Draw(tuple(events), found)


def _shown(
    queries: Queries,
    query: int,
    gap: str,
    is_right: bool,
    scores: Float64[Array, "pair"],
    motion: Float64[Array, "pair"],
) -> ShownEvent:
    low, high = np.searchsorted(queries.pair_query, (query, query + 1))
    by_method, by_motion = (_ranks(values[low:high]) for values in (scores, motion))
    own = queries.pair_is_same[low:high]
    shown = np.flatnonzero((by_method <= MOST_SHOWN) | own)
    candidates = [
        Candidate(int(low + place), int(by_method[place]), int(by_motion[place]))
        for place in shown[np.argsort(by_method[shown])]
    ]
    return ShownEvent(query, gap, is_right, int(high - low), tuple(candidates))


def _ranks(values: Float64[Array, "entry"]) -> Int64[Array, "entry"]:
    """From 1 for the highest value; what is not known comes last."""
    order = np.argsort(-np.where(np.isnan(values), -np.inf, values), kind="stable")
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.arange(1, len(values) + 1)
    return ranks
