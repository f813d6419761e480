import copy
from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor
from torch.nn import functional

from avjepa.bundle.files import save_bundle
from avjepa.encoders.base import BEVMap, DenseFeatures
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from avjepa.pretrain.objectives.cells import LossCells
from avjepa.pretrain.objectives.targets import (
    EMATargetOptions,
    FrozenTargetOptions,
    SharedTargetOptions,
    TargetFeatures,
    TargetOptions,
)
from tests.pretrain.toys import ToyEncoder, toy_batch


def those(cells: Tensor) -> LossCells:
    """The marked cells, all of them occupied."""
    at = cells.flatten().nonzero()[:, 0]
    every = torch.ones(len(at), dtype=torch.bool)
    return LossCells(at, at // cells[0].numel(), every, every, torch.ones(len(at)), len(cells))


def test_targets_join_depths_and_normalise_each_in_every_cell() -> None:
    encoder = ToyEncoder()
    features = TargetFeatures(encoder, intermediate_features=True, normalisation="layer", standardise=False)
    map_ = encoder(toy_batch([1, 2]).context)
    cells = torch.rand(map_.observed.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    out = features(map_, those(cells))
    assert out.shape == (int(cells.sum()), features.channels) == (int(cells.sum()), 32)
    (level,) = map_.intermediate_features
    assert isinstance(level, DenseFeatures)
    for depth, part in zip((level.map, map_.features), out.split(16, dim=1), strict=True):
        for (sample, row, column), found in zip(cells.nonzero().tolist(), part, strict=True):
            expected = functional.layer_norm(depth[sample, :, row, column], (16,), eps=1e-6)
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_unit_length_targets() -> None:
    encoder = ToyEncoder()
    features = TargetFeatures(encoder, intermediate_features=False, normalisation="l2", standardise=False)
    everywhere = torch.ones(2, *encoder.token_grid.shape, dtype=torch.bool)
    out = features(encoder(toy_batch([1, 2]).context), those(everywhere))
    torch.testing.assert_close(out.norm(dim=1), torch.ones(len(out)))


def test_a_cell_without_content_is_no_nan() -> None:
    encoder = ToyEncoder()
    zeros = torch.zeros(1, 16, *encoder.token_grid.shape, requires_grad=True)
    empty = torch.zeros(1, *encoder.token_grid.shape, dtype=torch.bool)
    for normalisation in ("layer", "l2", "none"):
        features = TargetFeatures(encoder, True, normalisation, True)  # type: ignore[arg-type]
        out = features(BEVMap(zeros, empty, (DenseFeatures(zeros),)), those(~empty))
        (gradient,) = torch.autograd.grad(out.sum(), zeros)
        assert out.isfinite().all()
        assert gradient.isfinite().all()


def test_half_precision_features_become_fp32_targets() -> None:
    encoder = ToyEncoder()
    map_ = encoder(toy_batch([1]).context)
    half = map_.features.bfloat16()
    map_ = BEVMap(half, map_.observed, (DenseFeatures(half),))
    assert TargetFeatures(encoder, True, "layer", True)(map_, those(map_.observed)).dtype == torch.float32


def test_frozen_target_is_frozen_and_may_be_another_encoder() -> None:
    other = ToyEncoder(channels=24, norm=True)
    student = ToyEncoder()
    target = FrozenTargetOptions(other).build(student)
    assert TargetFeatures(target.channels_of, True, "layer", True).channels == 48
    target.train()
    before = copy.deepcopy(target.state_dict())
    out = target(student, toy_batch([1, 2]).context)
    target.after_step(student, 1)
    assert not out.features.requires_grad
    for name, tensor in target.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_frozen_target_comes_from_a_bundle_by_yaml(tmp_path: Path) -> None:
    trained = ToyEncoder(channels=4)
    save_bundle(trained, tmp_path, {})
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(TargetOptions, "target")
    encoder = {"class_path": "avjepa.encoders.bundled.load_encoder", "init_args": {"directory": str(tmp_path)}}
    parsed = parser.parse_object({"target": {"class_path": "FrozenTargetOptions", "init_args": {"encoder": encoder}}})
    student = ToyEncoder()
    target = parser.instantiate_classes(parsed).target.build(student)
    batch = toy_batch([1]).context
    torch.testing.assert_close(target(student, batch).features, trained(batch).features.detach())


def test_frozen_target_on_another_grid_is_refused() -> None:
    target = FrozenTargetOptions(ToyEncoder(grid=BEVGrid(-10.0, 14.0, -8.0, 8.0, 2.0)))
    with pytest.raises(UserError, match=r"FrozenTargetOptions\.encoder.*token grid"):
        target.build(ToyEncoder())


def test_shared_target_has_no_weights_of_its_own() -> None:
    encoder = ToyEncoder()
    target = SharedTargetOptions().build(encoder)
    assert target.channels_of is encoder
    assert not target.state_dict()
    batch = toy_batch([1]).context
    assert not target(encoder, batch).features.requires_grad
    assert SharedTargetOptions(stop_gradient=False).build(encoder)(encoder, batch).features.requires_grad


def test_teacher_sees_everything() -> None:
    """Unlike AD-L-JEPA's, which sees the hidden cells alone: its map equals the encoder's of the full view."""
    encoder = ToyEncoder()
    target = EMATargetOptions().build(encoder)
    batch = toy_batch([1, 2]).context
    torch.testing.assert_close(target(encoder, batch).features, encoder(batch).features.detach())
