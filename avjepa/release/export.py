"""One deployable artefact of a release: the dense part as a program of ``torch.export``, which needs no avjepa."""

import importlib.util
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avjepa.data.empty_sensor import with_one_of
from avjepa.data.sample import Batch
from avjepa.errors import UserError
from avjepa.files import replacing, write_json, write_text
from avjepa.model.perception_model import PerceptionModel
from avjepa.release.heads import file_sha256

PROGRAM, ONNX, DESCRIPTION, EXAMPLE, RUN = "dense.pt2", "dense.onnx", "artefact.json", "example.npz", "run.py"
FORMAT_VERSION = 1


class DensePart(nn.Module):
    """Everything of a model above the BEV plane: what it puts out is what a deployment reads.

    Args:
        model: of one or several heads.
    """

    def __init__(self, model: PerceptionModel) -> None:
        super().__init__()
        self.backbone, self.neck, self.heads = model.backbone, model.neck, model.heads

    def forward(self, plane: dict[str, Tensor]) -> dict[str, Tensor]:
        """From the tensors on the plane, of one sample, to ``HEAD.NAME``."""
        bev = self.neck(self.backbone.above_plane(plane))
        return {
            f"{head}.{name}": value
            for head, module in self.heads.items()
            for name, value in module.deployed(bev).items()  # type: ignore[operator]
        }


@torch.no_grad()
def export(model: PerceptionModel, batch: Batch, out: Path, about: Mapping[str, Any], onnx: bool) -> list[str]:
    """Write the artefact of a model into a folder; every number of the program is that of the model.

    ``dense.pt2`` begins where the sensors' own networks put their data on the BEV plane: behind voxels and sparse
    convolutions, pillars, or the lift of images, whose shapes follow from the data and which a deployment computes with
    a library of its own. ``example.npz`` holds that input for one keyframe and the outputs that are to be had;
    ``run.py`` runs the program and suppresses boxes, with torch and numpy alone.

    Args:
        model: in evaluation mode, on the CPU.
        batch: one sample, with data of every sensor.
        out: folder of the artefact.
        about: goes into its description.
        onnx: also write ``dense.onnx``.

    Returns:
        Names of the heads that have no dense output and are left out.

    Raises:
        UserError: a part cannot be exported.
    """
    if onnx and importlib.util.find_spec("onnxscript") is None:
        raise UserError("--onnx: needs the packages onnx and onnxscript; pip install avjepa[onnx], or leave it out")
    backbone = model.backbone
    read = with_one_of(batch, backbone.sensors_read())
    plane = {name: value.float() for name, value in backbone.plane(read).items()}
    part = DensePart(model).eval()
    outputs = part(plane)
    if not outputs:
        raise UserError(f"{', '.join(model.heads)}: no head has a dense output; nothing to export")
    left_out = [name for name in model.heads if not any(output.startswith(f"{name}.") for output in outputs)]
    program = torch.export.export(part, (plane,))
    with replacing(out / PROGRAM) as temporary:
        renamed = temporary.with_name(f"{temporary.name}.pt2")  # torch goes by the ending
        torch.export.save(program, renamed)
        renamed.replace(temporary)
    if onnx:
        with replacing(out / ONNX) as temporary:
            torch.onnx.export(program, (plane,), str(temporary), dynamo=True, external_data=False, verbose=False)
    with replacing(out / EXAMPLE) as temporary, temporary.open("wb") as file:
        arrays = {f"in.{name}": value.numpy() for name, value in plane.items()}
        np.savez_compressed(file, **arrays, **{f"out.{name}": value.numpy() for name, value in outputs.items()})
    write_text(out / RUN, (Path(__file__).parent / "artefact_run.py").read_text(encoding="utf-8"))
    write_json(
        out / DESCRIPTION,
        {
            "format_version": FORMAT_VERSION,
            **about,
            "boundary": "the BEV plane, behind voxels and sparse convolutions, pillars or the lift of images",
            "grid": asdict(backbone.token_grid),
            "inputs": {name: list(value.shape) for name, value in plane.items()},
            "outputs": {name: list(value.shape) for name, value in outputs.items()},
            "heads": {name: head.deployment_facts() for name, head in model.heads.items()},  # type: ignore[operator]
            "left_out": left_out,
            "torch": torch.__version__,
            "sha256": {name: file_sha256(out / name) for name in (PROGRAM, *([ONNX] if onnx else []))},
        },
    )
    return left_out
