import math

import torch
from shapely import Polygon
from shapely.affinity import rotate, translate

from avjepa.geometry.overlap import overlapping_from_above


def boxes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 9, generator=generator)
    scale = torch.tensor([12.0, 12.0, 40.0, 6.0, 3.0, 2.0, 2 * math.pi, 1.0, 1.0])
    return unit * scale + torch.tensor([0.0, 0.0, 0.0, 0.1, 0.1, 0.1, -math.pi, 0.0, 0.0])


def rectangle(box: torch.Tensor) -> Polygon:
    x, y, _, length, width, _, yaw, *_ = box.tolist()
    flat = Polygon([(sx * length / 2, sy * width / 2) for sx, sy in ((1, 1), (-1, 1), (-1, -1), (1, -1))])
    return translate(rotate(flat, yaw, origin=(0, 0), use_radians=True), x, y)


def test_boxes_overlap_where_their_rectangles_share_an_area() -> None:
    one, other = boxes(60, 0), boxes(70, 1)
    found = overlapping_from_above(one, other)
    shared = torch.tensor([[rectangle(a).intersection(rectangle(b)).area for b in other] for a in one])
    clear = (shared == 0) | (shared > 1e-4)  # a sliver may be rounded away
    assert torch.equal(found[clear], (shared > 0)[clear])
    assert 200 < int(found.sum()) < found.numel() - 200
    assert torch.equal(found, overlapping_from_above(other, one).T)


def test_a_cross_overlaps_though_no_corner_lies_in_the_other_box() -> None:
    cross = torch.tensor([[0.0, 0, 0, 8, 1, 1, 0.3, 0, 0], [0.0, 0, 9, 8, 1, 1, 0.3 + math.pi / 2, 0, 0]])
    assert overlapping_from_above(cross[:1], cross[1:]).all()


def test_boxes_side_by_side_are_apart() -> None:
    side = torch.tensor([[0.0, 0, 0, 4, 2, 1, 0, 0, 0], [0.0, 2, 0, 4, 2, 1, 0, 0, 0], [0.0, 1.9, 0, 4, 2, 1, 0, 0, 0]])
    assert overlapping_from_above(side[:1], side).tolist() == [[True, False, True]]
    assert overlapping_from_above(side[:0], side).shape == (0, 3)
