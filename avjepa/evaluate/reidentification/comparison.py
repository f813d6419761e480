"""All methods side by side on the events of a split."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from avjepa.data.protocol import DrivingDataset
from avjepa.data.sensor_inputs import letters_of
from avjepa.errors import UserError, counted
from avjepa.evaluate.reidentification.events import Queries
from avjepa.evaluate.reidentification.file_sightings import has_detected_boxes, sightings_of_file
from avjepa.evaluate.reidentification.fit import FEWEST_EVENTS, fitted
from avjepa.evaluate.reidentification.methods import (
    SIZE,
    WITH_EMBEDDINGS,
    Embeddings,
    Parameters,
    scores,
    weights_by_default,
)
from avjepa.evaluate.reidentification.pairs import Pairs, balanced_pairs
from avjepa.evaluate.reidentification.result_file import EmbeddingFile
from avjepa.evaluate.reidentification.scores import Figures, Outcome, PairFigures, figures, pair_figures
from avjepa.evaluate.reidentification.sightings import Sightings
from avjepa.evaluate.reidentification.slices import ALL, slices

USUAL_FIT_SPLIT = "train"
MINIMUM_POINTS = 5
NO_SENSORS = "none"
NO_EVENTS = "no object of a class is seen, hidden at a keyframe or more, and seen again"


@dataclass(frozen=True)
class MethodScores:
    """Of one method.

    Attributes:
        sensors: that detected boxes and embeddings are from, as ``C+L+R``; ``none`` for a method that is told annotated
            boxes alone.
        slices: figures by group and name of the slice.
        pairs: of balanced pairs; ``None`` where no threshold was fitted.
    """

    sensors: str
    slices: Mapping[tuple[str, str], Figures]
    pairs: PairFigures | None


@dataclass(frozen=True)
class Comparison:
    """The scores of all methods on the same queries.

    Attributes:
        methods: by name.
        parameters: that they had.
        fitted_on: events that the parameters were fitted on; 0 for the defaults.
        scenes: that were scored.
        boxes_are_detected: whether the boxes are a detector's.
        notes: what a reader has to know.
    """

    methods: Mapping[str, MethodScores]
    parameters: Parameters
    fitted_on: int
    scenes: int
    boxes_are_detected: bool
    notes: tuple[str, ...]

    @property
    def events(self) -> int:
        """How many there are to score."""
        return next(iter(self.methods.values())).slices[(ALL, ALL)].events


@dataclass(frozen=True)
class FitScenes:
    """What the parameters of the methods are fitted on.

    Attributes:
        scenes: names; none of them is scored.
        embeddings: of these scenes; without them their weight is that of the file that is scored.
    """

    scenes: tuple[str, ...]
    embeddings: EmbeddingFile | None = None


def usual_fit_scenes(source: DrivingDataset, scored: list[str]) -> FitScenes | None:
    """The split ``train`` if the data set has it and it shares no scene with what is scored."""
    try:
        scenes = source.scenes_of(USUAL_FIT_SPLIT)
    except UserError:
        return None
    return None if set(scenes) & set(scored) else FitScenes(tuple(scenes))


@dataclass(frozen=True)
class Questions:
    """What the methods are asked, and what they know.

    Attributes:
        queries: of all that comes back or appears, for objects of a class.
        embeddings: of their sightings; ``None`` without a file.
        parameters: of the methods.
        fitted_on: events that the parameters were fitted on; 0 for the defaults.
        boxes_are_detected: whether the boxes are a detector's.
        notes: what a reader has to know.
    """

    queries: Queries
    embeddings: Embeddings | None
    parameters: Parameters
    fitted_on: int
    boxes_are_detected: bool
    notes: tuple[str, ...]


def questions(
    source: DrivingDataset,
    scenes: list[str],
    *,
    minimum_points: int = MINIMUM_POINTS,
    seed: int = 0,
    file: EmbeddingFile | None = None,
    fit: FitScenes | None = None,
) -> Questions:
    """What some scenes ask the methods; arguments and errors as of ``compared``."""
    queries, embeddings = _queries(source, scenes, minimum_points, file)
    parameters, fitted_on, note = _parameters(source, minimum_points, seed, file, fit)
    detected = file is not None and has_detected_boxes(file)
    return Questions(queries, embeddings, parameters, fitted_on, detected, (note, *_notes(queries, file, embeddings)))


def compared(
    source: DrivingDataset,
    scenes: list[str],
    *,
    minimum_points: int = MINIMUM_POINTS,
    seed: int = 0,
    file: EmbeddingFile | None = None,
    fit: FitScenes | None = None,
) -> Comparison:
    """Score all methods that need no network on the events of some scenes, and those with embeddings if there are any.

    Objects of no class of the taxonomy are left out: no network gives them embeddings.

    Args:
        source: the data set.
        scenes: names of those that are scored.
        minimum_points: LiDAR points that make an object visible.
        seed: of the random embedding, the balanced pairs and the intervals.
        file: embeddings of the scenes.
        fit: what the parameters are fitted on; the defaults for ``None``.

    Raises:
        UserError: the annotations are missing or broken, or a file is not of its scenes.
    """
    asked = questions(source, scenes, minimum_points=minimum_points, seed=seed, file=file, fit=fit)
    queries, embeddings, parameters = asked.queries, asked.embeddings, asked.parameters
    pairs = balanced_pairs(queries.sightings, seed)
    of_pairs = scores(pairs, parameters, seed, embeddings)
    of_queries = scores(Pairs.of_galleries(queries), parameters, seed, embeddings)
    scene = queries.sightings.scene[queries.sighting]
    methods = {}
    for method, values in of_queries.items():
        outcome = Outcome.of(queries, values)
        found = {
            (part.group, part.name): figures(outcome, scene, part.events, part.newborns, seed)
            for part in slices(queries)
        }
        threshold = parameters.thresholds.get(method)
        told = None if threshold is None else pair_figures(of_pairs[method], pairs.are_same, threshold)
        uses = file.sensors if file is not None and (asked.boxes_are_detected or method in WITH_EMBEDDINGS) else ()
        methods[method] = MethodScores(letters_of(uses) or NO_SENSORS, found, told)
    return Comparison(methods, parameters, asked.fitted_on, len(scenes), asked.boxes_are_detected, asked.notes)


def _parameters(
    source: DrivingDataset, minimum_points: int, seed: int, file: EmbeddingFile | None, fit: FitScenes | None
) -> tuple[Parameters, int, str]:
    """What the methods need to know, the number of events that it was fitted on, and both in words.

    The weight of embeddings is one over the temperature of the file that is scored, if there are no embeddings of other
    scenes to fit it on.
    """
    parameters = Parameters()
    if file is not None and file.temperature is not None:
        parameters = Parameters(weights=weights_by_default(file.temperature))
    if fit is None:
        return parameters, 0, "parameters: defaults"
    if fit.embeddings is None and file is not None and has_detected_boxes(file):
        reason = "only detected boxes of other scenes can say how far detections are off"
        return parameters, 0, f"parameters: defaults, since {reason}"
    others, of_others = _queries(source, list(fit.scenes), minimum_points, fit.embeddings)
    number = int((~others.is_newborn).sum())
    events = counted(number, "event")
    if number < FEWEST_EVENTS:
        return parameters, 0, f"parameters: defaults, since there are only {events} to fit them on"
    but = ", but for the weight of embeddings" if file is not None and fit.embeddings is None else ""
    return fitted(others, seed, of_others, parameters), number, f"parameters fitted on {events} of other scenes{but}"


def _queries(
    source: DrivingDataset, scenes: list[str], minimum_points: int, file: EmbeddingFile | None
) -> tuple[Queries, Embeddings | None]:
    """The queries of some scenes for objects of a class, with the embeddings of all sightings if there is a file."""
    sightings = Sightings.of(source.annotated_keyframes(scenes), source.taxonomy, minimum_points)
    embeddings = None
    if file is not None:
        sightings, embeddings = sightings_of_file(sightings, file, source)
    queries = Queries.of(sightings)
    return queries.selected(sightings.kind[queries.sighting] < sightings.classes), embeddings


def _notes(queries: Queries, file: EmbeddingFile | None, embeddings: Embeddings | None) -> list[str]:
    notes = []
    events = queries.selected(~queries.is_newborn)
    own = Pairs(queries.sightings, events.last, events.sighting)
    if len(own) and (np.abs(own.size_ratio()) < 1e-6).all(1).mean() > 0.5:
        notes.append(
            f"{SIZE}: most objects have one size in all their boxes, as annotators draw them, so that it names the "
            "object; detected boxes do not tell as much"
        )
    if file is not None and embeddings is not None:
        if has_detected_boxes(file):
            notes.append("boxes are detected ones: an object counts as seen where a box of its class was detected")
        rows = np.unique(np.concatenate((queries.sighting, queries.pair_sighting)))
        if lacking := int(np.isnan(embeddings[rows, 0]).sum()):
            notes.append(f"{lacking:,} of {counted(len(rows), 'sighting')} have no embedding, which counts as wrong")
    return notes
