"""Principal components as colours."""

from dataclasses import replace

import pytest
import torch

from avjepa.data.sample import Sample
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from avjepa.report.features import FeatureMaps, PCABasis, features_figure


def known_map(rows: int = 30, columns: int = 40, channels: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """A map that varies along three known orthonormal directions, with standard deviations 5, 3 and 1."""
    generator = torch.Generator().manual_seed(1)
    directions = torch.linalg.qr(torch.randn(channels, 3, generator=generator, dtype=torch.float64)).Q.T
    weights = torch.randn(3, rows * columns, generator=generator, dtype=torch.float64)
    weights = torch.linalg.qr((weights - weights.mean(1, keepdim=True)).T).Q.T  # uncorrelated exactly
    strengths = torch.tensor([5.0, 3.0, 1.0], dtype=torch.float64)[:, None]
    return directions, (directions.T @ (strengths * weights)).reshape(channels, rows, columns).float() + 7.0


def test_the_directions_of_constructed_features_are_found() -> None:
    directions, features = known_map()
    everywhere = torch.ones(features.shape[1:], dtype=torch.bool)
    basis = PCABasis.fit([features], [everywhere])
    assert torch.allclose((basis.components @ directions.T).abs(), torch.eye(3, dtype=torch.float64), atol=1e-4)
    assert basis.explained == pytest.approx(1.0, abs=1e-6)
    noisy = features + 0.3 * torch.randn(features.shape, generator=torch.Generator().manual_seed(0))
    assert PCABasis.fit([noisy], [everywhere]).explained < 0.5  # 8 channels of noise drown 35 units of energy


def test_only_occupied_cells_decide() -> None:
    _, features = known_map()
    occupied = torch.zeros(features.shape[1:], dtype=torch.bool)
    occupied[:, 5:20] = True
    disturbed = torch.where(occupied, features, 1000 * torch.randn(features.shape))
    ours, theirs = PCABasis.fit([features], [occupied]), PCABasis.fit([disturbed], [occupied])
    assert torch.equal(ours.components, theirs.components) and torch.equal(ours.high, theirs.high)
    # without enough occupied cells all count
    assert PCABasis.fit([features], [torch.zeros_like(occupied)]).explained == pytest.approx(1.0, abs=1e-6)


def test_equal_features_have_equal_colours_in_all_pictures_of_a_basis() -> None:
    _, features = known_map()
    everywhere = torch.ones(features.shape[1:], dtype=torch.bool)
    moved = features.roll(3, dims=2).flip(1)
    basis = PCABasis.fit([features, moved], [everywhere, everywhere])
    first, second = basis.rgb(features, everywhere), basis.rgb(moved, everywhere)
    assert (torch.from_numpy(first).roll(3, dims=1).flip(0) == torch.from_numpy(second)).all()
    # the order of maps and cells changes no sign
    again = PCABasis.fit([moved, features], [everywhere, everywhere])
    assert torch.allclose(basis.components, again.components, atol=1e-6)


def test_colours_span_their_range_and_outliers_do_not_squeeze_them() -> None:
    _, features = known_map()
    features[:, 0, 0] = 1e4
    occupied = torch.ones(features.shape[1:], dtype=torch.bool)
    occupied[0, 0] = False
    picture = PCABasis.fit([features], [occupied]).rgb(features, occupied)
    for channel in range(3):
        values = picture[..., channel].reshape(-1)
        assert 0.005 < (values == 0).mean() < 0.02 and values.std() > 40


def test_empty_cells_are_dimmed() -> None:
    _, features = known_map()
    features = features.flatten(1)[:, :1].expand(8, 1200).reshape(8, 30, 40) + torch.randn(8, 30, 40)
    occupied = torch.arange(40).expand(30, 40) < 20
    picture = PCABasis.fit([features], [occupied]).rgb(features, occupied)
    assert picture[:, 20:].std() < 0.4 * picture[:, :20].std()


def test_flat_and_narrow_maps() -> None:
    everywhere = torch.ones(6, 5, dtype=torch.bool)
    constant = torch.full((4, 6, 5), 0.1)
    assert set(PCABasis.fit([constant], [everywhere]).rgb(constant, everywhere).reshape(-1).tolist()) <= {127, 128}
    narrow = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    picture = PCABasis.fit([narrow], [everywhere]).rgb(narrow, everywhere)
    assert picture[..., 0].std() > 40 and set(picture[..., 2].reshape(-1).tolist()) <= {127, 128}


def test_bad_features_are_refused() -> None:
    features = torch.zeros(4, 6, 5)
    features[2, 3, 3] = float("nan")
    with pytest.raises(UserError, match="NaN"):
        PCABasis.fit([features], [torch.ones(6, 5, dtype=torch.bool)])
    with pytest.raises(UserError, match="no feature map"):
        PCABasis.fit([], [])


def test_a_figure_for_every_sensor(hand_made: Sample) -> None:
    grid = BEVGrid(-16.0, 24.0, -12.0, 12.0, 0.8)
    maps = torch.randn(8, *grid.shape, generator=torch.Generator().manual_seed(0))
    column = FeatureMaps("before", (maps,), (torch.ones(grid.shape, dtype=torch.bool),))
    for kept in ("lidar", "radar", "cameras"):
        dropped = {name: None for name in ("lidar", "radar", "cameras") if name != kept}
        figure = features_figure([replace(hand_made, **dropped)], grid, [column, column])
        shown, before, after = figure.axes[:3]
        assert before.get_xlim() == (12.0, -12.0) and after.get_ylim() == (-16.0, 24.0)
        assert shown.get_title(loc="left") == "input"
        figure.draw_without_rendering()
