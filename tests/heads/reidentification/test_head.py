"""The re-identification head: what it reads, what it is taught, that it learns, and that batches do not matter."""

import math
from dataclasses import replace

import pytest
import torch

from avjepa.data.labels import BoxQueries, Labels
from avjepa.data.sample import Batch
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.reidentification import ReidentificationHead, ReidentificationOptions
from avjepa.heads.reidentification.crops import box_crops, lattice
from avjepa.heads.reidentification.taught_objects import comparable_keyframes, jittered, objects_of, taught

NUSCENES = load_taxonomy("nuscenes")
GRID = BEVGrid(-8.0, 8.0, -8.0, 8.0, 1.0)
SMALL = ReidentificationOptions(dimension=8, points=3, channels=4, hidden=16, jitter=0.0)


def box(x: float, y: float, yaw: float = 0.0, length: float = 4.0, width: float = 2.0) -> list[float]:
    return [x, y, 0.5, length, width, 1.5, yaw, 1.0, 0.0]


def labels(*rows: tuple[list[float], int, int], points: int = 9) -> Labels:
    """By box, class and track."""
    boxes = torch.tensor([row[0] for row in rows]).view(-1, 9)
    index = torch.tensor([row[1] for row in rows], dtype=torch.int64)
    many = torch.full((len(rows),), points)
    return Labels(boxes, index, many, 0 * many, 0 * many, torch.tensor([row[2] for row in rows], dtype=torch.int64))


def batch_of(*samples: Labels, scenes: tuple[str, ...] | None = None) -> Batch:
    pose = torch.eye(4).repeat(len(samples), 1, 1)
    names = tuple(map(str, range(len(samples))))
    scenes = scenes or ("scene",) * len(samples)
    queries = tuple(BoxQueries.annotated(sample, str) for sample in samples)
    return Batch(names, scenes, torch.arange(len(samples)), pose.double(), pose, labels=samples, queries=queries)


def test_a_crop_is_the_map_turned_with_the_box() -> None:
    """Of a map that is a linear function of x and y, interpolation is exact: its values are those of the places."""
    centres = GRID.centres()
    bev = torch.stack((centres, -centres)).permute(0, 3, 1, 2).contiguous()
    boxes = torch.tensor([box(1.0, -2.0, math.pi / 2), box(0.0, 0.0)])
    crops = box_crops(bev, (boxes, boxes[:1]), GRID, 3, 0.5)
    assert crops.shape == (3, 2, 3, 3)
    # half a length and the margin to the front, which is +y for the first box; its left is -x
    torch.testing.assert_close(crops[0, :, 1, 2], torch.tensor([1.0, -2.0 + 2.5]))
    torch.testing.assert_close(crops[0, :, 2, 1], torch.tensor([1.0 - 1.5, -2.0]))
    torch.testing.assert_close(crops[1, :, 0, 0], torch.tensor([-2.5, -1.5]))
    torch.testing.assert_close(crops[2], -crops[0])


def test_beyond_the_map_a_crop_is_nought_and_no_box_gives_no_crop() -> None:
    bev = torch.ones(1, 2, 16, 16)
    assert not box_crops(bev, (torch.tensor([box(40.0, 0.0)]),), GRID, 3, 0.5).any()
    assert box_crops(bev, (torch.zeros(0, 9),), GRID, 3, 0.5).shape == (0, 2, 3, 3)


def test_the_lattice_ends_on_the_rim_of_box_and_margin() -> None:
    (places,) = lattice(torch.tensor([box(0.0, 0.0)]), 5, 1.0)
    assert places.amin((0, 1)).tolist() == [-3.0, -2.0] and places.amax((0, 1)).tolist() == [3.0, 2.0]


def test_what_is_taught_has_points_and_a_track() -> None:
    some = labels((box(0, 0), 0, 3), (box(3, 0), 0, ~3), (box(5, 0), 0, 4))
    few = replace(some, lidar_points=torch.tensor([5, 9, 4]))
    assert taught(few, 5).track_ids.tolist() == [3]


def test_places_are_those_of_the_world_whatever_the_augmentation() -> None:
    turn = torch.tensor([[0.0, -1.0, 0.0, 2.0], [1.0, 0.0, 0.0, 0.0], [0, 0, 1, 0], [0, 0, 0, 1]])
    plain = labels((box(3.0, 1.0), 0, 0))
    turned = replace(plain, boxes=transform_boxes(turn, plain.boxes))
    batch = batch_of(plain, turned)
    far = torch.eye(4, dtype=torch.float64)
    far[:2, 3] = torch.tensor([1234.5, -987.25])
    batch = replace(batch, bev_from_level=torch.stack((torch.eye(4), turn)), global_from_level=torch.stack((far, far)))
    position = objects_of((plain, turned), batch).position
    torch.testing.assert_close(position[0], position[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(position[0], torch.tensor([3.0, 1.0]), atol=1e-4, rtol=0)


def test_keyframes_are_comparable_within_a_scene_and_not_with_themselves() -> None:
    batch = replace(batch_of(*[labels()] * 4, scenes=("b", "a", "b", "b")), tokens=("1", "2", "3", "1"))
    expected = [[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0]]
    assert comparable_keyframes(batch).int().tolist() == expected


def test_jitter_is_of_the_seed_and_of_the_size_that_was_asked_for() -> None:
    boxes = torch.tensor([box(0, 0)]).repeat(4000, 1)
    moved = jittered(boxes, 0.1, 5)
    assert torch.equal(moved, jittered(boxes, 0.1, 5)) and not torch.equal(moved, jittered(boxes, 0.1, 6))
    spread = (moved - boxes).std(0)
    torch.testing.assert_close(spread[[0, 1, 2, 6]], torch.tensor([0.4, 0.2, 0.15, 0.1]), rtol=0.05, atol=0)
    assert torch.equal(moved[:, 7:], boxes[:, 7:]) and torch.equal(jittered(boxes, 0.0, 5), boxes)


def test_the_loss_of_a_batch_is_the_mean_of_those_of_its_clips() -> None:
    """So that processes with a clip each have the loss of one with all."""
    torch.manual_seed(0)
    head = ReidentificationHead(4, GRID, replace(SMALL, jitter=0.1))
    bev = torch.randn(4, 4, 16, 16)
    samples = [
        labels((box(0, 0), 0, 1), (box(4, 4), 0, 2)),
        labels((box(1, 0), 0, 1)),
        labels((box(0, 2), 0, 7)),
        labels(),
    ]
    batch = batch_of(*samples, scenes=("a", "a", "b", "b"))

    def clip(first: int) -> Batch:
        rows = slice(first, first + 2)
        return replace(
            batch,
            tokens=batch.tokens[rows],
            scenes=batch.scenes[rows],
            seeds=batch.seeds[rows],
            global_from_level=batch.global_from_level[rows],
            bev_from_level=batch.bev_from_level[rows],
            labels=batch.labels[rows] if batch.labels else None,
            queries=None,
        )

    joint = head.loss(bev, batch)
    alone = [head.loss(bev[first : first + 2], clip(first)) for first in (0, 2)]
    for name, value in joint.items():
        assert value.item() == pytest.approx((alone[0][name] + alone[1][name]).item() / 2, rel=1e-5)
    assert joint["found"].item() > 0


def test_every_parameter_has_a_gradient_even_if_there_is_no_box() -> None:
    head = ReidentificationHead(4, GRID, replace(SMALL, geometry=True, motion=True))
    for samples in ((labels(), labels()), (labels((box(0, 0), 0, 1)), labels((box(0, 1), 0, 1), (box(5, 5), 0, 2)))):
        bev = torch.randn(2, 4, 16, 16, requires_grad=True)
        head.zero_grad()
        torch.stack(list(head.loss(bev, batch_of(*samples)).values())).sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


def test_it_learns_to_tell_objects_apart_that_look_different() -> None:
    """Two objects swap places from one keyframe to the next; the map shows which is which."""
    torch.manual_seed(0)
    head = SMALL.build(4, GRID, NUSCENES)
    patterns = torch.randn(2, 4)
    places = (5, 11)

    def keyframe(swapped: bool) -> tuple[torch.Tensor, Labels]:
        bev = 0.1 * torch.randn(4, 16, 16)
        rows = []
        for track, place in enumerate(reversed(places) if swapped else places):
            bev[:, place - 2 : place + 2, place - 2 : place + 2] += patterns[track][:, None, None]
            rows.append((box(place - 8.0, place - 8.0, yaw=float(torch.rand(())) * 6), 0, track))
        return bev, labels(*rows)

    optimiser = torch.optim.AdamW(head.parameters(), 0.01)
    for _ in range(60):
        (first, one), (second, other) = keyframe(False), keyframe(True)
        terms = head.loss(torch.stack((first, second)), batch_of(one, other))
        optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
    (first, one), (second, other) = keyframe(False), keyframe(True)
    found = head.eval().predict(torch.stack((first, second)), batch_of(one, other))
    similarity = found[0].embeddings @ found[1].embeddings.T
    assert similarity.diagonal().min() > 0.8 and similarity.fliplr().diagonal().max() < 0.5
    torch.testing.assert_close(found[0].embeddings.norm(dim=1), torch.ones(2))


def test_predictions_are_of_the_queries_in_the_level_frame() -> None:
    flip = torch.diag(torch.tensor([1.0, -1.0, 1.0, 1.0]))
    sample = labels((box(3.0, 1.0), 0, 4))
    batch = batch_of(replace(sample, boxes=transform_boxes(flip, sample.boxes)))
    batch = replace(batch, bev_from_level=flip[None])
    (found,) = SMALL.build(4, GRID, NUSCENES).eval().predict(torch.randn(1, 4, 16, 16), batch)
    torch.testing.assert_close(found.queries.boxes, sample.boxes)
    assert found.queries.tracks == ("4",) and found.queries.scores.isnan().all()


def test_geometry_and_motion_are_read_by_option_alone() -> None:
    bev = torch.randn(1, 4, 16, 16)
    other = torch.tensor([box(0, 0)])
    other[:, [5, 7]] = torch.tensor([3.0, -6.0])  # higher, and reversing; the same ground below
    for geometry, motion in ((False, False), (True, False), (False, True)):
        head = ReidentificationHead(4, GRID, replace(SMALL, geometry=geometry, motion=motion)).eval()
        same = torch.equal(head(bev, (torch.tensor([box(0, 0)]),)), head(bev, (other,)))
        assert same == (not geometry and not motion)


def test_an_unknown_velocity_is_no_nan() -> None:
    unknown = torch.tensor([box(0, 0)])
    unknown[:, 7:] = torch.nan
    head = ReidentificationHead(4, GRID, replace(SMALL, motion=True))
    assert head(torch.randn(1, 4, 16, 16), (unknown,)).isfinite().all()


def test_a_map_of_another_size_and_missing_labels_or_queries_are_refused() -> None:
    head = SMALL.build(4, GRID, NUSCENES)
    batch = replace(batch_of(labels()), labels=None, queries=None)
    with pytest.raises(UserError, match="build the head for the map of the neck"):
        head(torch.randn(1, 4, 8, 8), (torch.zeros(0, 9),))
    with pytest.raises(UserError, match="no labels"):
        head.loss(torch.randn(1, 4, 16, 16), batch)
    with pytest.raises(UserError, match="no queries"):
        head.predict(torch.randn(1, 4, 16, 16), batch)


@pytest.mark.parametrize(
    ("option", "value"), [("dimension", 0), ("margin", -1.0), ("jitter", float("nan")), ("hard_weight", 0.0)]
)
def test_impossible_options_are_refused(option: str, value: float) -> None:
    with pytest.raises(UserError, match=f"ReidentificationOptions.{option}"):
        ReidentificationOptions(**{option: value})
