"""Samples to batches."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from avjepa.data.files.point_fields import LIDAR_FIELDS, RADAR_FIELDS
from avjepa.data.sample import Batch, CameraImages, Cameras, Points, PretrainBatch, Sample


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples. A sensor is ``None`` only if no sample has it; labels or queries if not every sample has them."""
    labels = tuple(sample.labels for sample in samples if sample.labels is not None)
    queries = tuple(sample.queries for sample in samples if sample.queries is not None)
    return Batch(
        tokens=tuple(sample.token for sample in samples),
        scenes=tuple(sample.scene for sample in samples),
        seeds=torch.tensor([sample.seed for sample in samples], dtype=torch.int64),
        global_from_level=torch.stack([sample.global_from_level for sample in samples]),
        bev_from_level=torch.stack([sample.bev_from_level for sample in samples]),
        lidar=_points([sample.lidar for sample in samples], len(LIDAR_FIELDS)),
        radar=_points([sample.radar for sample in samples], len(RADAR_FIELDS)),
        cameras=_cameras([sample.cameras for sample in samples]),
        labels=labels if len(labels) == len(samples) else None,
        queries=queries if len(queries) == len(samples) else None,
        drivable={
            grid: torch.stack([sample.drivable[grid] for sample in samples])
            for grid in samples[0].drivable
            if all(grid in sample.drivable for sample in samples)
        },
    )


def collate_pretrain(pairs: Sequence[tuple[Sample, Sample]]) -> PretrainBatch:
    """Stack pairs of context and target. Where every pair is one sample twice, so is the batch.

    Frames and images that are the same in every pair are one object in both batches.
    """
    context = collate([context for context, _ in pairs])
    if all(context is target for context, target in pairs):
        return PretrainBatch(context, context)
    shared: dict[str, Any] = {}
    if all(_same_cameras(context.cameras, target.cameras) for context, target in pairs):
        pairs = [(context, replace(target, cameras=None)) for context, target in pairs]
        shared["cameras"] = context.cameras
    target = collate([target for _, target in pairs])
    if torch.equal(context.bev_from_level, target.bev_from_level):
        shared["bev_from_level"] = context.bev_from_level
    return PretrainBatch(context, replace(target, **shared))


def _same_cameras(one: CameraImages | None, other: CameraImages | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.images is other.images and torch.equal(one.bev_from_camera, other.bev_from_camera)


def _points(clouds: Sequence[Tensor | None], fields: int) -> Points | None:
    if all(cloud is None for cloud in clouds):
        return None
    rows = [torch.zeros(0, fields) if cloud is None else cloud for cloud in clouds]
    counts = torch.tensor([len(cloud) for cloud in rows])
    return Points(
        features=torch.cat(rows),
        batch_index=torch.repeat_interleave(torch.arange(len(rows)), counts),
        present=torch.tensor([cloud is not None for cloud in clouds]),
    )


def _cameras(rigs: Sequence[CameraImages | None]) -> Cameras | None:
    """The cameras are the channels that any sample has, in the order of the rig."""
    some = [rig for rig in rigs if rig is not None and rig.channels]
    if not some:
        return None
    seen = {channel for rig in some for channel in rig.channels}
    channels = [channel for channel in some[0].rig if channel in seen]
    shape = (len(rigs), len(channels))
    images = some[0].images.new_zeros(*shape, *some[0].images.shape[1:])
    intrinsics = torch.eye(3).repeat(*shape, 1, 1)
    bev_from_camera = torch.eye(4).repeat(*shape, 1, 1)
    present = torch.zeros(shape, dtype=torch.bool)
    for row, rig in enumerate(rigs):
        if rig is None:
            continue
        cameras = torch.tensor([channels.index(channel) for channel in rig.channels], dtype=torch.int64)
        images[row, cameras] = rig.images
        intrinsics[row, cameras] = rig.intrinsics
        bev_from_camera[row, cameras] = rig.bev_from_camera
        present[row, cameras] = True
    return Cameras(images, intrinsics, bev_from_camera, present)
