"""One objective for every sensor: three real encoders and an invented one, trained by the same lines."""

import ast
import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from jaxtyping import Bool
from torch import Tensor, nn

from avjepa.bundle.construction import build
from avjepa.bundle.files import save_bundle
from avjepa.data.loading.pretrain_datamodule import PretrainDataModule
from avjepa.data.sample import Batch, PretrainBatch
from avjepa.data.sensor_inputs import Sensor
from avjepa.encoders.base import BEVMap, SensorEncoder, Tokens
from avjepa.encoders.bundled import load_encoder
from avjepa.encoders.camera.pillar_pixels import PillarPixels
from avjepa.encoders.reconstruction_target import PillarPoints, ReconstructionTarget
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from avjepa.pretrain.masking.generators import MultiBlock
from avjepa.pretrain.objectives import jepa
from avjepa.pretrain.objectives.invariance import Invariance
from avjepa.pretrain.objectives.jepa import JEPA
from avjepa.pretrain.objectives.occupancy import OccupancyReconstruction
from avjepa.pretrain.objectives.predictor import PredictorOptions
from avjepa.pretrain.objectives.targets import EMATargetOptions, FrozenTargetOptions, SharedTargetOptions, TargetOptions
from tests.batch_tokens import BatchTokens
from tests.data.conftest import VERSION, tiny

__all__ = ["tiny"]
ENCODERS = Path(__file__).resolve().parents[2] / "configs" / "encoder"
GRID = BEVGrid(-51.2, 51.2, -25.6, 25.6, 1.6)


class DepthImageEncoder(SensorEncoder):
    """The invented sensor: a panoramic depth image of one row, each depth embedded and put back into its cell."""

    def __init__(self, token_grid: BEVGrid, azimuths: int = 360, out_channels: int = 12) -> None:
        super().__init__()
        self.token_grid, self.azimuths, self.out_channels = token_grid, azimuths, out_channels
        self.intermediate_channels: tuple[int, ...] = ()
        self.along_azimuth = nn.Conv1d(2, out_channels, 5, padding=2, padding_mode="circular")
        self.over_ground = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def tokenise(self, batch: Batch) -> BatchTokens:
        return BatchTokens(batch, self._observed)

    def encode(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        assert isinstance(tokens, BatchTokens)
        batch = tokens.batch
        depth, direction = self._image(batch, masked)
        seen = depth < math.inf
        pixels = torch.stack((torch.where(seen, 1 / depth.clamp(min=1), 0.0), seen.float()), dim=1)
        embedded = self.along_azimuth(pixels)
        canvas = embedded.new_zeros(len(batch), self.out_channels, *self.token_grid.shape)
        occupied = torch.zeros(len(batch), *self.token_grid.shape, dtype=torch.bool)
        cell, inside = self.token_grid.cell_of(torch.where(seen, depth, 0.0)[..., None] * direction)
        sample, pixel = (seen & inside).nonzero(as_tuple=True)
        row, column = cell[sample, pixel].unbind(-1)
        canvas = canvas.index_put(
            (sample, torch.arange(self.out_channels)[:, None], row, column), embedded[sample, :, pixel].T
        )
        occupied[sample, row, column] = True
        return BEVMap(self.over_ground(canvas), occupied)

    def _observed(self, batch: Batch) -> Bool[Tensor, "batch y x"]:
        with torch.no_grad():
            return self(batch).observed

    def reconstruction_target(self) -> ReconstructionTarget:
        return PillarPoints("lidar")

    def _image(self, batch: Batch, masked: Bool[Tensor, "batch y x"] | None) -> tuple[Tensor, Tensor]:
        assert batch.lidar is not None
        xy, sample = batch.lidar.xyz[:, :2], batch.lidar.batch_index
        if masked is not None:
            cell, inside = self.token_grid.cell_of(xy)
            kept = ~(inside & masked[sample, cell[:, 0], cell[:, 1]])
            xy, sample = xy[kept], sample[kept]
        angle = torch.atan2(xy[:, 1], xy[:, 0])
        pixel = ((angle / (2 * math.pi) % 1) * self.azimuths).long().clamp(max=self.azimuths - 1)
        depth = torch.full((len(batch) * self.azimuths,), math.inf)
        depth = depth.scatter_reduce(0, sample * self.azimuths + pixel, xy.norm(dim=1), "amin")
        angles = (torch.arange(self.azimuths) + 0.5) * (2 * math.pi / self.azimuths)
        return depth.view(len(batch), -1), torch.stack((angles.cos(), angles.sin()), dim=-1)


def real_encoder(sensor: str) -> SensorEncoder:
    config = yaml.safe_load((ENCODERS / f"{sensor}_tiny.yaml").read_text())
    return build(SensorEncoder, config, sensor)


@pytest.fixture(scope="module", params=["lidar", "camera", "radar", "depth image"])
def encoder_and_batch(request: pytest.FixtureRequest, tiny: Path) -> tuple[SensorEncoder, PretrainBatch]:
    torch.manual_seed(0)
    encoder = DepthImageEncoder(GRID) if request.param == "depth image" else real_encoder(request.param)
    return encoder, batch_of(tiny, ["lidar" if request.param == "depth image" else request.param])


def batch_of(data: Path, sensors: list[Sensor], target_sensors: list[Sensor] | None = None) -> PretrainBatch:
    """Two keyframes."""
    module = PretrainDataModule(
        dataroot=str(data),
        version=VERSION,
        sensors=sensors,
        target_sensors=target_sensors,
        image_size=(64, 112),
        keyframes_only=True,
        batch_size=2,
        workers=0,
        steps=1,
    )
    module.setup()
    batch: PretrainBatch = next(iter(module.train_dataloader()))
    return batch


def test_the_objective_trains_every_encoder(encoder_and_batch: tuple[SensorEncoder, PretrainBatch]) -> None:
    encoder, batch = encoder_and_batch
    objective = JEPA(
        encoder,
        MultiBlock(sides=(3.2, 6.4)),
        FrozenTargetOptions(copy.deepcopy(encoder)),  # one that moves would move the loss
        predictor=PredictorOptions(width=16, dilations=(1,)),
        input_dropout=0.2,
        reconstruction_weight=1.0,
        standardise=False,
    )
    optimiser = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=3e-3)
    before = [parameter.detach().clone() for parameter in encoder.parameters()]
    losses = []
    for step in range(4):
        output = objective(batch)
        output.loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        objective.after_step(step + 1)
        losses.append(output.loss.item())
    assert output.embeddings.masked.any()
    assert losses[-1] < losses[0], losses
    moved = [not torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True)]
    assert sum(moved) > 0.9 * len(moved), "the encoder learns"


@pytest.mark.parametrize("target", [EMATargetOptions(), SharedTargetOptions()])
def test_images_that_both_views_have_are_tokenised_once(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, target: TargetOptions
) -> None:
    """And give the loss and the gradients of images that each view has for itself, to the bit."""
    torch.manual_seed(0)
    encoder, batch = real_encoder("camera"), batch_of(tiny, ["camera"], ["camera", "lidar"])
    assert batch.target.cameras is not None and batch.target.lidar is not None
    copied = replace(batch.target, cameras=batch.target.cameras.mapped(Tensor.clone))
    apart = PretrainBatch(batch.context, copied)
    objective = JEPA(encoder, MultiBlock(), target, predictor=PredictorOptions(16, (1,)), standardise=False)
    tokenised, tokenise = [], type(encoder).tokenise
    monkeypatch.setattr(type(encoder), "tokenise", lambda self, view: tokenised.append(view) or tokenise(self, view))
    results = []
    for views in (batch, apart):
        output = objective(views)
        output.loss.backward()
        results.append((output.loss.detach(), *(p.grad for p in objective.parameters() if p.grad is not None)))
        objective.zero_grad()
    assert len(tokenised) == 1 + 2
    assert all(map(torch.equal, *results))


def test_what_a_view_lacks_is_said_with_the_option_that_loads_it(tiny: Path) -> None:
    camera, lidar = real_encoder("camera"), real_encoder("lidar")
    by_lidar = JEPA(lidar, MultiBlock(), FrozenTargetOptions(copy.deepcopy(lidar)))
    by_camera = JEPA(lidar, MultiBlock(), FrozenTargetOptions(camera))
    content = JEPA(
        lidar, MultiBlock(), SharedTargetOptions(), reconstruction_weight=1.0, reconstruction_target=PillarPixels()
    )
    seen = OccupancyReconstruction(lidar, MultiBlock(), PillarPixels())
    same = Invariance(lidar, input_dropout=0.2)
    without_target, without_context = batch_of(tiny, ["lidar"], ["radar"]), batch_of(tiny, ["radar"], ["lidar"])
    target = r"data in the batch of .*; add {} to data\.target_sensors, or"
    for objective, sensor in ((by_lidar, "lidar"), (by_camera, "camera"), (seen, "camera"), (same, "lidar")):
        with pytest.raises(UserError, match=f"no {sensor} " + target.format(sensor)):
            objective(without_target)
        with pytest.raises(
            UserError, match=r"LidarEncoder: no lidar data in the batch of .*; add lidar to data\.sensors"
        ):
            objective(without_context)
    with pytest.raises(UserError, match="PillarPixels: no camera " + target.format("camera")):
        content(batch_of(tiny, ["lidar"]))


def test_an_invented_encoder_is_bundled_like_the_others(tmp_path: Path) -> None:
    encoder = DepthImageEncoder(GRID, azimuths=90)
    save_bundle(encoder, tmp_path, {})
    again = load_encoder(tmp_path)
    assert type(again).__name__ == "DepthImageEncoder"
    assert all(torch.equal(a, b) for a, b in zip(encoder.parameters(), again.parameters(), strict=True))


def test_an_encoder_that_names_no_content_can_still_be_trained_on_embeddings() -> None:
    class Silent(DepthImageEncoder):
        reconstruction_target = SensorEncoder.reconstruction_target

    masks, target = MultiBlock(sides=(3.2, 6.4)), FrozenTargetOptions(DepthImageEncoder(GRID))
    JEPA(Silent(GRID), masks, target)
    with pytest.raises(UserError, match=r"Silent.*reconstruct"):
        JEPA(Silent(GRID), masks, target, reconstruction_weight=1.0)


ROOM = Path(jepa.__file__).parents[1]


def without_prose(source: str) -> str:
    """The code of a module without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(getattr(node, "body", None), list):
            prose = [part for part in node.body if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)]
            node.body = [part for part in node.body if part not in prose] or [ast.Pass()]
    return ast.unparse(tree)


@pytest.mark.parametrize("path", sorted(ROOM.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOM)))
def test_the_code_of_pretraining_names_no_sensor(path: Path) -> None:
    code = without_prose(path.read_text(encoding="utf-8")).lower().replace("checkpoints", "")
    for word in ("lidar", "camera", "radar", "image", "points"):
        assert word not in code, word
