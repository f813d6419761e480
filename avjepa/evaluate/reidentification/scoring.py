"""Scoring a file of embeddings."""

from pathlib import Path

from rich.console import Console

from avjepa.errors import counted
from avjepa.evaluate.reidentification.comparison import (
    MINIMUM_POINTS,
    NO_EVENTS,
    Comparison,
    compared,
    usual_fit_scenes,
)
from avjepa.evaluate.reidentification.methods import EMBEDDING, MOTION_EMBEDDING
from avjepa.evaluate.reidentification.result_file import read_embeddings
from avjepa.evaluate.reidentification.results import as_json, comparison_table, said_below
from avjepa.evaluate.reidentification.slices import ALL, OVER_2S
from avjepa.files import write_json
from avjepa.heads.task import METRICS, ScoredSplit, Scorer

WIDE = 120
"""Columns that the table needs; a console prints no wider than it is."""


class ReidentificationScorer(Scorer):
    """Re-identification after occlusion, beside all methods that need no network.

    Args:
        minimum_points: LiDAR points that make an object visible.
        seed: of the random embedding, the balanced pairs and the intervals.
    """

    def __init__(self, minimum_points: int = MINIMUM_POINTS, seed: int = 0) -> None:
        self.minimum_points, self.seed = minimum_points, seed

    def score(self, predictions: Path, split: ScoredSplit, out: Path, fast: bool = False) -> Path | None:
        """See ``Scorer.score``; there is no official program."""
        console = Console()
        comparison = self._compared(predictions, split)
        if comparison is None or not comparison.events:
            (out / METRICS).unlink(missing_ok=True)  # of predictions that are no longer there
            reason = "the dataset has no annotations" if comparison is None else NO_EVENTS
            words = f"split {split.split}: nothing to score: {reason}"
            console.print(words, markup=False, highlight=False, soft_wrap=True)
            return None
        notes = said_below(comparison)
        if without := len(split.without_input):
            notes.append(f"no sensor data in {counted(without, 'sample')}")
        about = {
            "version": split.source.version, "split": split.split, "predictions": predictions.name,
            "minimum_points": self.minimum_points, "seed": self.seed, "samples_without_input": without,
        }  # fmt: skip
        write_json(out / METRICS, about | as_json(comparison))
        wide = Console(file=console.file, width=max(console.width, WIDE))
        wide.print(comparison_table(f"{split.source.version} {split.split}, k = {self.minimum_points}", comparison))
        for note in notes:
            console.print(note, markup=False, highlight=False, soft_wrap=True)
        return out / METRICS

    def figures(self, predictions: Path, split: ScoredSplit) -> dict[str, float]:
        """See ``Scorer.figures``: rank-1 by the embedding alone and with motion, over all gaps and those over 2 s."""
        comparison = self._compared(predictions, split)
        if comparison is None or not comparison.events:
            return {}
        names = {EMBEDDING: "rank1", MOTION_EMBEDDING: "rank1_with_motion"}
        keys = {(ALL, ALL): "", ("gap", OVER_2S): "_over_2s"}
        found = {
            name + ending: comparison.methods[method].slices[key]
            for method, name in names.items()
            for key, ending in keys.items()
        }
        return {name: figures.rank1 for name, figures in found.items() if figures.events}

    def _compared(self, predictions: Path, split: ScoredSplit) -> Comparison | None:
        source = split.source
        file = read_embeddings(predictions, source.taxonomy)
        if not source.has_labels():
            return None
        scenes = source.scenes_of(split.split)
        fit = usual_fit_scenes(source, scenes)
        return compared(source, scenes, minimum_points=self.minimum_points, seed=self.seed, file=file, fit=fit)
