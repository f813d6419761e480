"""What a release left on disk, as far as it is compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError
from avjepa.evaluate.detection.result_file import ResultFile, read_result_file
from avjepa.evaluate.reidentification.result_file import FILE_NAME as EMBEDDINGS
from avjepa.evaluate.reidentification.result_file import EmbeddingFile, read_embeddings
from avjepa.evaluate.segmentation.result_file import FILE_NAME as MAPS
from avjepa.evaluate.segmentation.result_file import SegmentationFile, read_segmentations

DETECTIONS = "predictions.json"

Results = ResultFile | SegmentationFile | EmbeddingFile


@dataclass(frozen=True)
class Released:
    """The results of a release on one split.

    Attributes:
        name: of the release.
        taxonomy: its classes.
        results: of each task, by its name.
        costs: figures of its cost, by name; see ``COSTS``.
    """

    name: str
    taxonomy: Taxonomy
    results: Mapping[str, Results]
    costs: Mapping[str, float] = field(default_factory=dict)


COSTS = {"latency_ms": "latency (ms a sample)", "memory_mib": "memory (MiB)"}
"""What a release may say of its cost."""


def results_in(folder: Path, tasks: list[str], taxonomy: Taxonomy) -> dict[str, Results]:
    """The official result file of each task in the folder of an evaluation.

    Raises:
        UserError: one is missing or damaged.
    """
    return {task: _read(folder if len(tasks) == 1 else folder / task, taxonomy) for task in tasks}


def _read(folder: Path, taxonomy: Taxonomy) -> Results:
    if (folder / DETECTIONS).is_file():
        return read_result_file(folder / DETECTIONS, taxonomy)
    if (folder / MAPS).is_file():
        return read_segmentations(folder / MAPS)
    if (folder / EMBEDDINGS).is_file():
        return read_embeddings(folder / EMBEDDINGS, taxonomy)
    names = ", ".join((DETECTIONS, MAPS, EMBEDDINGS))
    raise UserError(f"{folder}: holds no results ({names}); run avjepa evaluate --run on this release and split")


def require_same_definitions(old: Released, new: Released) -> tuple[str, ...]:
    """The classes that both releases know, in the order of the new one.

    Raises:
        UserError: one of them is made of other categories, or is evaluated at another range.
    """
    common = tuple(name for name in new.taxonomy.classes if name in old.taxonomy.classes)
    if not common:
        raise UserError(f"releases {old.name} and {new.name}: have no class in common; compare releases that do")
    for name in common:
        before, after = (
            (sorted(category for category, kind in one.categories.items() if kind == name), one.ranges[name])
            for one in (old.taxonomy, new.taxonomy)
        )
        if before != after:
            raise UserError(
                f"releases {old.name} and {new.name}: class {name!r} is not the same in their taxonomies (categories "
                "or range); evaluate both with one taxonomy"
            )
    return common
