"""Non-maximum suppression by centre distance."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def circle_nms(
    centres: Float[Tensor, "box 2"], scores: Float[Tensor, "box"], radius: float, keep_at_most: int
) -> Int64[Tensor, "kept"]:
    """Indices of the boxes that have no better box within ``radius`` metres, best first.

    Greedy: a box that was itself suppressed suppresses nothing. Equal scores: the earlier box is better. CenterPoint
    (Yin et al. 2021) calls the same thing ``circle_nms``, but its ``min_radius`` is compared with the *squared*
    distance: its 4 for cars is a ``radius`` of 2 m here.

    Args:
        centres: metres, any frame.
        scores: any order.
        radius: metres; a box at exactly this distance is suppressed. 0 removes only boxes at the same place.
        keep_at_most: stop after so many boxes.
    """
    order = scores.argsort(descending=True, stable=True)
    sorted_centres = centres[order].double()
    near = ((sorted_centres[:, None] - sorted_centres[None]) ** 2).sum(-1) <= radius**2
    near_rows = near.cpu().numpy()
    suppressed = near_rows.diagonal() & False
    kept: list[int] = []
    for candidate in range(len(order)):
        if suppressed[candidate]:
            continue
        kept.append(candidate)
        if len(kept) == keep_at_most:
            break
        suppressed |= near_rows[candidate]
    return order[torch.tensor(kept, dtype=torch.int64, device=order.device)]
