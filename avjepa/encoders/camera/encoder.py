"""Camera encoder: image backbone, feature pyramid, lift, dense BEV network."""

from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from avjepa.data.sample import Batch, Cameras
from avjepa.encoders.base import DenseFeatures, Tokens
from avjepa.encoders.blocks import BEVUNet, ConvNormReLU, require_depths
from avjepa.encoders.camera.feature_pyramid import FeaturePyramid
from avjepa.encoders.camera.geometry import PatchViews
from avjepa.encoders.camera.image_backbone import ImageBackbone, ImageBackboneOptions
from avjepa.encoders.camera.lift import ImageFeatures
from avjepa.encoders.camera.lift_bilinear import BilinearLiftOptions
from avjepa.encoders.camera.lift_depth import DepthLiftOptions
from avjepa.encoders.camera.patch_masks import MaskCells, MaskPatches
from avjepa.encoders.camera.pillar_pixels import PillarPixels
from avjepa.encoders.camera.tokens import CameraTokens
from avjepa.encoders.missing_sensor import MissingSensorError
from avjepa.encoders.plane_encoder import OnPlane, PlaneEncoder
from avjepa.geometry.grid import BEVGrid
from avjepa.ranges import require_number, require_range


class CameraEncoder(PlaneEncoder):
    """All images of a moment -> one BEV map (after Simple-BEV, 2206.07959, and BEVFusion, 2205.13542).

    **Occupied** is a cell whose column, its square from ``column[0]`` to ``column[1]`` metres above the ground, falls
    into the image of a camera that is present: what the cameras look at, whether or not anything stands there. It
    follows from the calibration alone.

    **Hidden** cells take with them every image patch that sees any part of their columns: a pixel sees many cells, so
    others lose their view, too. A cell is no longer occupied when it is hidden itself or all patches that see it are.
    Use ``Tokens.realisable_mask`` to turn a wish into cells that can be hidden without blanking everything.

    ``BEVMap.intermediate_features`` are the lifted features, height folded into channels and mixed, and the first depth
    of the dense network.

    Args:
        token_grid: cells of the output.
        backbone: which image backbone.
        lift: bilinear sampling (no parameters) or a depth distribution.
        image_channels: channels of the feature pyramid.
        bev_channels: channels at each depth of the dense network.
        bev_blocks: residual blocks at each depth of the dense network.
        out_channels: channels of the output.
        column: lowest and highest point in metres that counts as a cell's content.
        hiding: how a mask of cells becomes one of patches and back (``Tokens.realisable_mask``).
    """

    sensor = "camera"
    covers_observed = True

    def __init__(
        self,
        token_grid: BEVGrid,
        backbone: ImageBackboneOptions,
        lift: BilinearLiftOptions | DepthLiftOptions,
        image_channels: int,
        bev_channels: tuple[int, ...],
        bev_blocks: tuple[int, ...],
        out_channels: int,
        column: tuple[float, float] = (0.0, 2.0),
        hiding: MaskCells | MaskPatches = MaskCells(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__()
        require_range("CameraEncoder.column", column)
        require_number("CameraEncoder.image_channels", image_channels, at_least=1)
        require_number("CameraEncoder.out_channels", out_channels, at_least=1)
        require_depths("CameraEncoder", bev_channels, bev_blocks)
        self.token_grid, self.column, self.hiding = token_grid, column, hiding
        self.out_channels = out_channels
        self.intermediate_channels = (bev_channels[0], bev_channels[0])
        self.backbone = ImageBackbone(backbone)
        self.pyramid = FeaturePyramid(self.backbone.channels, image_channels)
        self.lift = lift.build(image_channels, token_grid)
        self.mix_heights = ConvNormReLU(self.lift.out_channels, bev_channels[0], kernel=1)
        self.bev = BEVUNet(bev_channels[0], out_channels, bev_channels, bev_blocks, upsampling="bilinear")

    @torch.no_grad()
    def tokenise(self, batch: Batch) -> CameraTokens:
        """See ``SensorEncoder.tokenise``."""
        cameras, patch = _cameras_of(batch), self.backbone.patch
        views = PatchViews.of(cameras, self.token_grid, self.column, patch)
        sightings = self.lift.sightings(cameras)
        return CameraTokens(cameras, batch.seeds, views, patch, sightings, self.hiding, self.backbone.fill)

    def on_plane(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> OnPlane:
        """See ``PlaneEncoder.on_plane``: image network, lift, height folded into channels."""
        assert isinstance(tokens, CameraTokens)
        cameras, views = tokens.cameras, tokens.views
        if masked is None:
            patches, occupied = None, tokens.observed
        else:
            patches = views.cells_per_patch(masked) > 0
            occupied = views.cells_seen(patches) & ~masked

        at = cameras.present.nonzero().unbind(-1)
        maps = self.backbone(cameras.images[at], None if patches is None else patches[at])
        pyramid = self.pyramid(maps)
        values = pyramid.new_zeros(*cameras.present.shape, *pyramid.shape[1:]).index_put(at, pyramid)
        features = ImageFeatures(
            values, cameras, self.backbone.strides[0], self.backbone.origins[0], patches, self.backbone.patch,
            tokens.sightings,
        )  # fmt: skip
        lifted = self.mix_heights(self.lift(features))
        return OnPlane(lifted, occupied, (DenseFeatures(lifted),))

    def reconstruction_target(self) -> PillarPixels:
        """See ``SensorEncoder.reconstruction_target``: the pixels that look at a cell's column, which masking hides."""
        return PillarPixels(*self.column)

    def bundle_arguments(self) -> dict[str, Any]:
        """See ``SensorEncoder.bundle_arguments``: without the file of image weights, whose tensors a bundle holds.

        The configuration that was read there is written out instead, and what file it was.
        """
        arguments = super().bundle_arguments()
        arguments["backbone"] = self.backbone.self_contained_options
        return arguments


def _cameras_of(batch: Batch) -> Cameras:
    if batch.cameras is None:
        raise MissingSensorError("CameraEncoder", "camera", batch)
    return batch.cameras
