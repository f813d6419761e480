"""JEPA on LiDAR on one page: hide part of the ground plan, predict the embedding of what was there. No label is read.

python jepa_on_one_page.py FOLDER [STEPS]
FOLDER holds LiDAR files of nuScenes' form, such as DATA/samples/LIDAR_TOP
"""

import copy
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

CELLS, METRES, WIDTH = 64, 51.2, 32  # a ground plan of 64 x 64 cells of 1.6 m, 32 numbers to describe a cell


def ground_plan(path: Path) -> Tensor:
    """(5, CELLS, CELLS): how many points a cell has, their highest, lowest and mean height, their mean intensity."""
    x, y, z, intensity = np.fromfile(path, np.float32).reshape(-1, 5)[:, :4].T
    cell = np.floor((np.stack([y, x]) + METRES) * (CELLS / (2 * METRES))).astype(int)
    inside = ((cell >= 0) & (cell < CELLS)).all(0)
    place, z, intensity = (cell[0] * CELLS + cell[1])[inside], z[inside], intensity[inside]
    count = np.bincount(place, minlength=CELLS * CELLS)
    high, low = np.full(CELLS * CELLS, -5.0), np.full(CELLS * CELLS, 5.0)
    np.maximum.at(high, place, z)
    np.minimum.at(low, place, z)
    mean = [np.bincount(place, weights, CELLS * CELLS) / np.maximum(count, 1) for weights in (z, intensity / 255)]
    plan = np.stack([np.log1p(count), high, low, *mean]) * (count > 0)
    return torch.from_numpy(plan).float().view(5, CELLS, CELLS)


def layer(inputs: int, outputs: int, dilation: int = 1) -> nn.Module:
    """A convolution that keeps the plan's size."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(4, outputs), nn.GELU())


def hidden_blocks(batch: int) -> Tensor:
    """(B, CELLS, CELLS): True in squares of 3 to 9 cells until half is hidden: more than a neighbour can guess."""
    hidden = torch.zeros(batch, CELLS, CELLS, dtype=torch.bool)
    for plan in hidden:
        while plan.float().mean() < 0.5:
            side = int(torch.randint(3, 10, ()))
            row, column = torch.randint(0, CELLS - side + 1, (2,)).tolist()
            plan[row : row + side, column : column + side] = True
    return hidden


class JEPA(nn.Module):
    """A context encoder, a predictor, and a target encoder that follows the first one slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(layer(5, 32), layer(32, WIDTH), layer(WIDTH, WIDTH), nn.Conv2d(WIDTH, WIDTH, 1))
        self.target = copy.deepcopy(self.encoder).requires_grad_(False)
        self.mask_token = nn.Parameter(torch.zeros(WIDTH, 1, 1))
        self.predictor = nn.Sequential(*(layer(WIDTH, WIDTH, d) for d in (1, 2, 4, 1)), nn.Conv2d(WIDTH, WIDTH, 1))

    def forward(self, plans: Tensor) -> tuple[Tensor, Tensor]:
        """The loss on hidden cells, and that of the best constant: what one gets without looking."""
        hidden = hidden_blocks(len(plans))
        seen = self.encoder(plans.masked_fill(hidden[:, None], 0))  # its input is gone, not just its output
        prediction = self.predictor(torch.where(hidden[:, None], self.mask_token, seen))
        with torch.no_grad():
            target = F.layer_norm(self.target(plans).movedim(1, -1), (WIDTH,))
        asked = hidden & (plans[:, 0] > 0)  # cells that were hidden and hold something
        wanted = target[asked]
        loss = F.smooth_l1_loss(prediction.movedim(1, -1)[asked], wanted)
        return loss, F.smooth_l1_loss(wanted.mean(0).expand_as(wanted), wanted)

    @torch.no_grad()
    def follow(self, momentum: float = 0.99) -> None:
        """Move the target encoder a little towards the context encoder; no gradient ever reaches it."""
        for slow, fast in zip(self.target.parameters(), self.encoder.parameters(), strict=True):
            slow.lerp_(fast, 1 - momentum)


def main(folder: str, steps: int = 300) -> float:
    """Train; the loss as a share of the best constant's, averaged over the last steps."""
    torch.manual_seed(0)
    plans = torch.stack([ground_plan(path) for path in sorted(Path(folder).glob("*.bin"))])
    model, shares = JEPA(), []
    optimiser = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), 2e-3)
    for step in range(steps):
        loss, constant = model(plans[torch.randint(len(plans), (4,))])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.follow()
        shares.append(loss.item() / constant.item())
        if (step + 1) % 50 == 0 or step + 1 == steps:
            print(f"step {step + 1}: loss {loss:.3f}, {np.mean(shares[-50:]):.2f} of the best constant's")
    return float(np.mean(shares[-50:]))


if __name__ == "__main__":
    main(sys.argv[1], *(int(steps) for steps in sys.argv[2:3]))
