"""Keyframes as they are drawn: with labels, and with the detections that are sure enough."""

from dataclasses import dataclass, replace

from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import load_samples
from avjepa.data.sample import Sample
from avjepa.data.sensor_inputs import SensorInputs
from avjepa.errors import BadFileError
from avjepa.evaluate.detection.result_file import ResultFile
from avjepa.evaluate.detection.sample_detections import detections_of
from avjepa.report.bev import Detections

MOST_DRAWN = 50
"""Predictions in a picture: more of them hide each other."""


@dataclass(frozen=True)
class DrawnKeyframes:
    """Reads what is drawn of a data set's keyframes."""

    dataset: DrivingDataset
    inputs: SensorInputs
    predictions: ResultFile | None
    minimum_score: float

    @property
    def note(self) -> str:
        """Which sensors the predictions are from."""
        if self.predictions is None:
            return ""
        return f"predictions from {' + '.join(self.predictions.sensors) or 'unknown sensors'}"

    def sample(self, moment: int) -> Sample:
        """A keyframe, with its labels where there are some. Raises ``BadFileError`` at a bad file."""
        (sample,) = load_samples(self.dataset, moment, (self.inputs,), on_bad_file=_name_the_keyframe)
        return replace(sample, labels=self.dataset.labels(moment)) if self.dataset.has_labels() else sample

    def detections(self, sample: Sample) -> tuple[Detections | None, str]:
        """The detections of at least the minimum score, at most ``MOST_DRAWN``; and what is not drawn, in words."""
        if self.predictions is None:
            return None, ""
        found = detections_of(self.predictions, sample.token, sample.global_from_level)
        sure = found.scores >= self.minimum_score
        number, said = int(sure.sum()), ""
        if not number:
            best = f"the best has {float(found.scores.max()):.3f}" if len(found.scores) else "there is none"
            said = f"no prediction has a score of --minimum_score {self.minimum_score:g} or more: {best}"
        surest = (found.scores * sure).argsort(descending=True)[: min(number, MOST_DRAWN)]
        if left_out := number - len(surest):
            said = f"the {MOST_DRAWN} surest predictions are drawn, {left_out} left out; --minimum_score draws fewer"
        return (found.boxes[surest], found.scores[surest], found.class_index[surest]), said


def _name_the_keyframe(error: BadFileError, of_the_moment: bool) -> None:
    raise BadFileError(error.path, error.problem, "restore the file, or draw another keyframe (--index or --token)")
