"""A task that is no part of avjepa: how many pedestrians there are."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avjepa.data.sample import Batch
from avjepa.data.taxonomy import Taxonomy
from avjepa.files import replacing, write_json
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.base import Head
from avjepa.heads.task import METRICS, PredictionWriter, ScoredSplit, Scorer, Task


class PedestrianCountHead(Head[float]):
    """A line through the mean of the map."""

    def __init__(self, channels: int, pedestrian: int) -> None:
        super().__init__()
        self.pedestrian = pedestrian
        self.line = nn.Linear(channels, 1)

    def forward(self, bev: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch"]:
        """The count of every sample."""
        count: Tensor = self.line(bev.float().mean((2, 3)))[:, 0]
        return count

    def loss(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The squared error."""
        assert batch.labels is not None
        counts = [float((labels.class_index == self.pedestrian).sum()) for labels in batch.labels]
        return {"count": ((self(bev) - torch.tensor(counts)) ** 2).mean()}

    def predict(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> tuple[float, ...]:
        """One number a sample."""
        return tuple(self(bev).tolist())


class CountWriter(PredictionWriter[float]):
    """One number a sample."""

    file_name = "pedestrians.json"

    def entries(self, batch: Batch, predictions: Sequence[float]) -> dict[str, Any]:
        """What the file holds of each sample."""
        return dict(zip(batch.tokens, predictions, strict=True))

    def write(self, path: Path, entries: Mapping[str, bytes], tokens: Sequence[str], sensors: Sequence[str]) -> None:
        """The file, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({token: json.loads(entries.get(token, b"0")) for token in tokens}))


class CountScorer(Scorer):
    """The mean error."""

    def score(self, predictions: Path, split: ScoredSplit, out: Path, fast: bool = False) -> Path | None:
        """Write the mean error."""
        said = json.loads(predictions.read_text())
        source = split.source
        pedestrian = source.taxonomy.classes.index("pedestrian")
        moments = source.moments(source.scenes_of(split.split), keyframes_only=True).tolist()
        true = {source.token_of(moment): source.labels(moment).class_index.eq(pedestrian).sum() for moment in moments}
        error = sum(abs(said[token] - int(count)) for token, count in true.items()) / len(true)
        write_json(out / METRICS, {"mean_error": error, "samples": len(said)})
        return out / METRICS

    def figures(self, predictions: Path, split: ScoredSplit) -> dict[str, float]:
        """What a curve over the training shows."""
        return {"samples": float(len(json.loads(predictions.read_text())))}


class PedestrianCountTask(Task[float]):
    """How many pedestrians a keyframe has.

    Args:
        loss_weight: of the head's loss among those of the other tasks.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        self.loss_weight = loss_weight

    def build_head(self, channels: int, grid: BEVGrid, taxonomy: Taxonomy) -> PedestrianCountHead:
        """A head for so many channels."""
        return PedestrianCountHead(channels, taxonomy.classes.index("pedestrian"))

    def writer(self, taxonomy: Taxonomy) -> CountWriter:
        """Of pedestrians.json."""
        return CountWriter()

    def scorer(self) -> CountScorer:
        """Of pedestrians.json."""
        return CountScorer()
