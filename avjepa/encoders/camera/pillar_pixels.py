"""What a generative objective reconstructs for cameras: the pixels that look at a cell's column."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from avjepa.data.sample import Batch, Cameras
from avjepa.encoders.camera.lift import ImageFeatures
from avjepa.encoders.camera.lift_bilinear import BilinearLift, BilinearLiftOptions
from avjepa.encoders.missing_sensor import MissingSensorError
from avjepa.encoders.reconstruction_target import Content, ReconstructionTarget
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid

_MEAN, _DEVIATION = 0.45, 0.225
"""Of ImageNet's pixels over all channels: one number for the three, so that grey has no contrast between channels."""
_SMALLEST_DEVIATION = (
    0.1  # about six grey intermediate_features: the grain of a bare wall is not blown up to the contrast of an edge
)


class PillarPixels(ReconstructionTarget):
    """Colours of the pixels that a column projects to (MAE, 2111.06377, for pixels gathered by BEV cell).

    The column of a cell is cut into bins of equal height. A bin has the colour that the cameras show in the direction
    of its centre, whatever stands there or before it: the mean over the cameras that see it, each read as the camera
    encoder's lift reads features, from the image averaged over ``stride`` pixels. Bins that none sees do not count.

    **Occupied** and valid are the cells of which a camera sees a bin, as the camera encoder calls those occupied that
    it looks at. The column must lie within that of the encoder: then all pixels of a cell that was hidden lie on hidden
    patches, of whose neighbours they take in half a stride at the most.

    Channels: red, green and blue of every bin, lowest first. The values hold after them whether each bin is seen.

    Args:
        z_min: lower end of the first bin, in metres above the ground.
        z_max: upper end of the last bin.
        height_bins: number of bins.
        stride: pixels over which an image is averaged before it is read; a bin's height at middle distance.
        normalised: whether a column's colours are brought to zero mean and unit variance, as MAE does with a patch
            (section 3, "Reconstruction target"): contrast instead of brightness.
    """

    def __init__(
        self, z_min: float = 0.0, z_max: float = 2.0, height_bins: int = 6, stride: int = 4, normalised: bool = True
    ) -> None:
        if z_max <= z_min or height_bins < 1 or stride < 1:
            raise UserError(
                f"PillarPixels: {height_bins} bins from {z_min} to {z_max} m read at stride {stride}; "
                "give z_min < z_max, bins >= 1, stride >= 1"
            )
        height = (z_max - z_min) / height_bins
        self.heights = tuple(z_min + (number + 0.5) * height for number in range(height_bins))
        self.stride, self.normalised = stride, normalised
        self.channels = 3 * height_bins

    @torch.no_grad()
    def of(self, batch: Batch, grid: BEVGrid) -> Content:
        """Colours in units of ImageNet's deviation, or normalised; 0 for bins that no camera sees.

        Raises:
            UserError: no sample of the batch has an image.
        """
        if batch.cameras is None:
            raise MissingSensorError("PillarPixels", "camera", batch)
        lift = BilinearLift(4, grid, BilinearLiftOptions(self.heights))
        lifted = lift(_read_at_stride(batch.cameras, self.stride))
        bins = lifted.view(len(batch), len(self.heights), 4, *grid.shape)
        colour, seen = bins[:, :, :3], bins[:, :, 3:] > 0.5
        if self.normalised:
            colour = _normalised(colour, seen)
        looked_at = seen.any(1)[:, 0]
        values = torch.cat((colour.flatten(1, 2), seen[:, :, 0].float()), dim=1)
        return Content(values.permute(0, 2, 3, 1), looked_at, looked_at)

    def distance(
        self,
        prediction: Float[Tensor, "cell channel"],
        values: Float[Tensor, "cell value"],
        occupied: Bool[Tensor, "cell"],
    ) -> Float[Tensor, "cell"]:
        """Mean squared error of the colours of the bins that are seen, as in MAE; 0 where none is."""
        colour, seen = values[:, : self.channels], values[:, self.channels :]
        error = (prediction - colour).square().view(len(values), -1, 3).sum(2)
        of_seen: Tensor = (error * seen).sum(1) / (3 * seen.sum(1).clamp(min=1))
        return of_seen


def _read_at_stride(cameras: Cameras, stride: int) -> ImageFeatures:
    """Images averaged over squares of ``stride`` pixels, and a channel of ones, which lifts to whether one is there."""
    views = cameras.images.flatten(0, 1).float()
    pooled = functional.avg_pool2d((views / 255 - _MEAN) / _DEVIATION, stride, ceil_mode=True)
    values = functional.pad(pooled, (0, 0, 0, 0, 0, 1), value=1.0)
    return ImageFeatures(values.view(*cameras.present.shape, *values.shape[1:]), cameras, stride, origin=stride / 2)


def _normalised(
    colour: Float[Tensor, "batch bin 3 y x"], seen: Bool[Tensor, "batch bin 1 y x"]
) -> Float[Tensor, "batch bin 3 y x"]:
    """Zero mean and unit variance over all colours of a column that are seen."""
    number = 3 * seen.sum((1, 2), keepdim=True).clamp(min=1)
    centred = (colour - colour.sum((1, 2), keepdim=True) / number) * seen
    variance = centred.square().sum((1, 2), keepdim=True) / number
    return centred / (variance + _SMALLEST_DEVIATION**2).sqrt()
