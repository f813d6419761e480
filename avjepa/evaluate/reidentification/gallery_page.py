"""A page of events with pictures: what was seen before and after a gap, and what it was taken for."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from avjepa.data.files.images import ImageTransform
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import load_samples
from avjepa.data.sample import Sample
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs, letters_of, recorded_sensors
from avjepa.errors import counted
from avjepa.evaluate.reidentification.comparison import Questions
from avjepa.evaluate.reidentification.methods import KALMAN, SIZE, scores
from avjepa.evaluate.reidentification.motion import expected_places
from avjepa.evaluate.reidentification.pairs import Pairs
from avjepa.evaluate.reidentification.shown_events import Candidate, Draw, ShownEvent, drawn_events
from avjepa.files import replacing
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.transforms import inverse
from avjepa.progress import with_bar
from avjepa.report.event_figure import CandidateView, EventView, event_figure
from avjepa.report.images import png_of
from avjepa.report.object_view import ObjectView, object_view
from avjepa.report.page import ReportPage

PAGE = "gallery.html"
_SENSORS = SensorInputs(LidarSweeps(), RadarSweeps(), ImageTransform(900, 1600))
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


class GalleryPage:
    """Draws events of a split.

    Args:
        source: the data set.
        asked: the questions, with embeddings.
        method: of ``WITH_EMBEDDINGS``: whose answers are shown.
        sensors: that the embeddings are from.
        number: of right and of wrong events of each range of gaps.
        seed: of the draw.
    """

    def __init__(
        self, source: DrivingDataset, asked: Questions, method: str, sensors: Sequence[str], number: int, seed: int
    ) -> None:
        self.source, self.asked, self.method, self.sensors = source, asked, method, sensors
        self.number, self.seed = number, seed
        self.pairs = Pairs.of_galleries(asked.queries)
        found = scores(self.pairs, asked.parameters, seed, asked.embeddings)
        self.scores, self.motion = found[method], found[KALMAN]
        self.expected = expected_places(asked.parameters.motion, self.pairs)
        there = recorded_sensors(source.channels, source.recorded_channels)
        self.inputs = _SENSORS.of(there)
        self.moment_of = {source.token_of(int(moment)): int(moment) for moment in source.moments(None, True)}

    def write(self, out: Path, title: str) -> Path:
        """Write the page, and a picture of every event, into a folder; returns the page's path.

        Nothing is written before all sensor files are read.

        Raises:
            BadFileError: a sensor file cannot be read.
        """
        draw = drawn_events(self.asked.queries, self.scores, self.motion, self.number, self.seed)
        page = ReportPage("The same object again", title)
        page.add_text(self._introduction(draw))
        pictures: dict[str, bytes] = {}
        section = ""
        for event in with_bar(draw.events, "drawing events"):
            if event.gap != section:
                section = event.gap
                right, wrong = draw.found[section]
                page.section(f"Hidden for {section.replace('>', 'more than ')} s")
                page.add_text(f"{counted(right, 'event')} right, {wrong:,} wrong.")
            answer = "right" if event.is_right else "wrong"
            name = f"{section.replace('>', 'over-')}s-{answer}-{event.query}.png"
            pictures[name] = png_of(event_figure(self._view(event)))
            page.add_image(pictures[name], self._caption(event), f"Views of an object before and after, {answer}")
        for name, picture in pictures.items():
            with replacing(out / name) as temporary:
                temporary.write_bytes(picture)
        page.write(out / PAGE)
        return out / PAGE

    def _introduction(self, draw: Draw) -> str:
        right, wrong = (sum(column) for column in zip(*draw.found.values(), strict=True))
        notes = [note for note in self.asked.notes if not note.startswith(f"{SIZE}:")]
        boxes = "detected" if self.asked.boxes_are_detected else "annotated"
        return (
            "An object was seen, then hidden, and is seen again: which of the objects of its class that were seen "
            "before in the scene is it? Above, the object itself before and after, in the camera that sees most of it "
            "and from above (forward is up). A cross and a dashed circle show where a Kalman filter expects it, and "
            "one standard deviation. Below, what it could be taken for, ranked by "
            f"**{self.method}** ({letters_of(self.sensors)}); the object itself is outlined in green.\n\n"
            f"**How they were chosen.** At random with seed {self.seed}, from all {counted(right + wrong, 'event')} at "
            f"{boxes} boxes with something to choose from: up to {self.number} of those that are answered right and "
            f"up to {self.number} of those answered wrong, for every range of gaps. So right and wrong ones are shown "
            f"as often as each other, whatever their share: of all events, {right / max(1, right + wrong):.1%} are "
            "right. None was left out or exchanged.\n\n" + "\n".join(f"- {note}" for note in notes)
        )

    def _caption(self, event: ShownEvent) -> str:
        queries = self.asked.queries
        own = next(one for one in event.candidates if queries.pair_is_same[one.pair])
        row = int(queries.sighting[event.query])
        sightings = queries.sightings
        return (
            f"**{'Right' if event.is_right else 'Wrong'}.** A {sightings.kinds[sightings.kind[row]].replace('_', ' ')} "
            f"of `{sightings.scenes[sightings.scene[row]]}`, hidden for {queries.gap[event.query]:.1f} s: "
            f"{_ordinal(own.rank)} of {event.gallery} by {self.method}, {_ordinal(own.motion_rank)} by the Kalman "
            "filter."
        )

    def _view(self, event: ShownEvent) -> EventView:
        queries = self.asked.queries
        see = self._seer()
        own = next(one for one in event.candidates if queries.pair_is_same[one.pair])
        row, last = int(queries.sighting[event.query]), int(queries.last[event.query])
        before, after = see(last), see(row)
        return EventView(
            before=before,
            after=after,
            before_words=f"last seen{_camera(before)}",
            after_words=f"seen again, {queries.gap[event.query]:.1f} s later{_camera(after)}",
            expected=self._expected(own, row),
            candidates=[self._candidate(one, row, see) for one in event.candidates],
        )

    def _candidate(self, candidate: Candidate, row: int, see: Callable[[int], ObjectView | None]) -> CandidateView:
        queries, earlier = self.asked.queries, int(self.pairs.earlier[candidate.pair])
        is_same = bool(queries.pair_is_same[candidate.pair])
        score = float(self.scores[candidate.pair])
        told = "no embedding" if math.isnan(score) else f"score {score:.2f}"
        miss = float(np.hypot(*(queries.sightings.boxes[row, :2] - self.expected[0][candidate.pair])))
        lines = (
            f"{_ordinal(candidate.rank)}: {told}{', the object itself' if is_same else ''}",
            f"last seen {float(self.pairs.gap[candidate.pair]):.1f} s before",
            f"by motion {_ordinal(candidate.motion_rank)}: {miss:.1f} m off",
        )
        return CandidateView(see(earlier), candidate.rank, is_same, lines)

    def _expected(self, own: Candidate, row: int) -> tuple[float, float, float]:
        """Where the object was expected in the BEV frame of its query, and the standard deviation (m)."""
        place, variance = self.expected[0][own.pair], float(self.expected[1][own.pair])
        moment = self.moment_of.get(self._token(row))
        if moment is None:
            return math.nan, math.nan, math.nan
        height = float(self.asked.queries.sightings.boxes[row, 2])
        level_from_global = inverse(self.source.global_from_level(moment))
        point = level_from_global @ torch.tensor([*place.tolist(), height, 1.0], dtype=torch.float64)
        return float(point[0]), float(point[1]), math.sqrt(variance)

    def _token(self, row: int) -> str:
        sightings = self.asked.queries.sightings
        return sightings.tokens[int(sightings.keyframe[row])]

    def _seer(self) -> Callable[[int], ObjectView | None]:
        """Views of sightings by their row; every moment is read once."""
        samples: dict[int, Sample] = {}

        def see(row: int) -> ObjectView | None:
            moment = self.moment_of.get(self._token(row))
            if moment is None:
                return None
            if moment not in samples:
                (samples[moment],) = load_samples(self.source, moment, (self.inputs,))
            box = torch.from_numpy(self.asked.queries.sightings.boxes[row])[None]
            level_from_global = inverse(samples[moment].global_from_level)
            return object_view(samples[moment], transform_boxes(level_from_global, box)[0].float())

        return see


def _camera(view: ObjectView | None) -> str:
    if view is None or view.crop is None:
        return ""
    return f"  ·  {view.crop.camera.removeprefix('CAM_').replace('_', ' ').lower()} camera"


def _ordinal(number: int) -> str:
    """``1st``, ``12th``, ``23rd``."""
    return f"{number}{'th' if number % 100 in (11, 12, 13) else _ENDINGS.get(number % 10, 'th')}"
