"""The segmentation of one keyframe beside the truth, as pictures show it."""

import torch

from avjepa.data.protocol import DrivingDataset
from avjepa.errors import UserError
from avjepa.evaluate.segmentation.result_file import SegmentationFile
from avjepa.evaluate.segmentation.truth import SegmentationTruth
from avjepa.heads.segmentation.prediction import CERTAIN
from avjepa.report.segmentation import ClassMap


def class_maps_of(
    file: SegmentationFile, source: DrivingDataset, moment: int
) -> tuple[tuple[ClassMap, ...], tuple[str, ...]]:
    """The classes of a result file at a keyframe, predicted with a probability of one half and more.

    Of a class that the data set cannot tell of, nothing is known.

    Returns:
        The classes (none if the prediction is empty), and what is missing of the truth, in words.

    Raises:
        UserError: the file does not list the keyframe, its map there is damaged, or it names classes of boxes that the
            taxonomy lacks; or the annotations are broken.
    """
    try:
        file.classes.indices(source.taxonomy.classes)
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from error
    (found,) = file.maps([source.token_of(moment)])
    truth = SegmentationTruth.of(source, [source.scene_of(moment)], file.classes)
    if found is None:
        return (), (*truth.notes, f"{file.path}: the prediction of this keyframe is empty")
    judged = truth.classes.names if truth.classes else ()
    target = truth.at(moment, found.grid) if judged else None
    maps = []
    for name, probability in zip(found.classes, found.probability, strict=True):
        predicted = probability.double() >= CERTAIN / 2
        present = known = torch.zeros_like(predicted)
        if target is not None and name in judged:
            present, known = (part[0, judged.index(name)] for part in (target.present, target.known))
        maps.append(ClassMap(name, found.grid, predicted, present, known))
    return tuple(maps), truth.notes
