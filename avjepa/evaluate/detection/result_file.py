"""Official result files of the detection task, which anyone may have written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError, counted
from avjepa.evaluate.detection.any_result import any_result
from avjepa.evaluate.detection.box_table import BoxTable
from avjepa.evaluate.detection.result_content import Vocabulary
from avjepa.evaluate.detection.usual_result import usual_result


@dataclass(frozen=True)
class ResultFile:
    """The boxes of a result file, in the file's order, which decides between equal scores."""

    path: Path
    sample_tokens: tuple[str, ...]
    """Every sample that the file lists, with boxes or without, in its order."""
    boxes: BoxTable
    """``boxes.sample`` counts ``sample_tokens``."""
    sensors: tuple[str, ...]
    """Of ``result_content.SENSORS``: what the predictions were made from, as far as the file says."""

    def of_sample(self, token: str) -> BoxTable:
        """The boxes of one sample, best first.

        Raises:
            UserError: the file does not list the sample.
        """
        if token not in self.sample_tokens:
            problem = f"does not list sample {token}"
            raise UserError(f"{self.path}: {problem}; choose a sample of the split that was predicted")
        boxes = self.boxes.selected(self.boxes.sample == self.sample_tokens.index(token))
        return boxes.selected(np.argsort(-boxes.score, kind="stable"))

    def arranged(self, sample_tokens: Sequence[str], maximum: int) -> BoxTable:
        """The boxes with ``sample`` counting the samples of a split, still in the file's order.

        Args:
            sample_tokens: the samples of the split; the file has to list all of them and no others.
            maximum: boxes that a sample may have.

        Raises:
            UserError: the file lists other samples, or one of them has too many boxes.
        """
        missing, extra = set(sample_tokens) - set(self.sample_tokens), set(self.sample_tokens) - set(sample_tokens)
        if missing or extra:
            raise UserError(
                f"{self.path}: lacks {counted(len(missing), 'sample')} of the split and lists {len(extra)} that it "
                "does not have; predict this split of this dataset again"
            )
        counts = np.bincount(self.boxes.sample, minlength=len(self.sample_tokens))
        if len(counts) and counts.max() > maximum:
            token = self.sample_tokens[int(counts.argmax())]
            raise UserError(f"{self.path}: sample {token} has more than {maximum} boxes; predict again with fewer")
        position = {token: index for index, token in enumerate(sample_tokens)}
        place = np.array([position[token] for token in self.sample_tokens], np.int64)
        return self.boxes.with_samples(place[self.boxes.sample])


def read_result_file(path: Path, taxonomy: Taxonomy) -> ResultFile:
    """Read and check a result file of the detection task.

    Args:
        path: the file.
        taxonomy: says which classes and attributes there are.

    Raises:
        UserError: there is no such file, it is no JSON, an object has a key twice, a field is missing or of the wrong
            type, a number is NaN, infinite or absurd, a size is not positive, a class or an attribute is unknown.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; predict the split first")
    vocabulary = Vocabulary(taxonomy)
    try:
        content = usual_result(path, vocabulary)
    except OSError:
        content = None
    content = content or any_result(path, vocabulary)
    return ResultFile(path, content.tokens, content.boxes(path), content.sensors(path))
