"""Running a detector over a split."""

from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from avjepa.data.loading.datamodule import DetectionDataModule
from avjepa.errors import UserError
from avjepa.evaluate.detection.predictions import official_boxes, write_predictions
from avjepa.finetune.lightning_model import FinetuneModule


@torch.inference_mode()
def predict_split(module: FinetuneModule, datamodule: DetectionDataModule, out: Path, head: str = "detection") -> Path:
    """Write the detections of every keyframe of the validation split as an official result file.

    Args:
        module: on the device that it shall run on; left in evaluation mode.
        datamodule: its ``eval_split`` is predicted. No annotation is read.
        out: path of the result file; written when all samples are done.
        head: name of the detection head.

    Raises:
        UserError: the module has no such head.
    """
    if head not in module.model.heads:
        raise UserError(f"the model has no head '{head}'; it has {sorted(module.model.heads)}")
    module.eval()
    datamodule.setup("predict")
    loader = datamodule.predict_dataloader()
    taxonomy = datamodule.taxonomy
    results = {}
    sensors: set[str] = set()
    for batch in track(loader, "predicting", total=len(loader), console=Console(stderr=True), transient=True):
        present = {"lidar": batch.lidar, "radar": batch.radar, "camera": batch.cameras}
        sensors |= {name for name, data in present.items() if data is not None}
        predictions = module.model.predict(batch.to(module.device))[head]
        for token, global_from_level, detections in zip(
            batch.tokens, batch.global_from_level, predictions, strict=True
        ):
            results[token] = official_boxes(token, detections, global_from_level, taxonomy)
    write_predictions(out, results, list(results), sorted(sensors))
    return out
