import pytest
import torch

from avjepa.fusion.fusers import FuserOptions, GatedSumOptions, MaskedMeanOptions

OPTIONS = (MaskedMeanOptions(), GatedSumOptions())


def maps_and_told() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 2, 4, 5, 6, generator=generator), torch.rand(3, 2, 5, 6, generator=generator) < 0.6


def test_the_masked_mean_is_the_mean_of_those_that_told() -> None:
    maps, told = maps_and_told()
    fused = MaskedMeanOptions().build(4)(maps, told)
    for sample, y, x in ((0, 0, 0), (1, 4, 5), (1, 2, 3)):
        there = [maps[sensor, sample, :, y, x] for sensor in range(3) if told[sensor, sample, y, x]]
        expected = torch.stack(there).mean(0) if there else torch.zeros(4)
        torch.testing.assert_close(fused[sample, :, y, x], expected)


def test_a_gated_sum_starts_as_the_mean_and_weighs_by_its_score() -> None:
    maps, told = maps_and_told()
    fuser = GatedSumOptions().build(4)
    torch.testing.assert_close(fuser(maps, told), MaskedMeanOptions().build(4)(maps, told))
    with torch.no_grad():
        fuser.get_parameter("score.weight").copy_(torch.tensor([[2.0, 0.0, 0.0, 0.0]]))
    fused = fuser(maps, torch.ones_like(told))
    share = torch.softmax(2 * maps[:, 0, 0, 3, 4], dim=0)
    torch.testing.assert_close(fused[0, :, 3, 4], (share[:, None] * maps[:, 0, :, 3, 4]).sum(0))


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: type(options).__name__)
def test_what_a_sensor_did_not_tell_does_not_enter(options: FuserOptions) -> None:
    maps, told = maps_and_told()
    fuser = options.build(4)
    fused = fuser(maps, told)
    changed = torch.where(told[:, :, None], maps, maps + 7)
    torch.testing.assert_close(fuser(changed, told), fused)
    assert (fused.permute(0, 2, 3, 1)[~told.any(0)] == 0).all() and fused.isfinite().all()
    # a sensor that is gone is as one that was never there
    two = told.clone()
    two[1] = False
    torch.testing.assert_close(fuser(maps, two), fuser(maps[[0, 2]], told[[0, 2]]))
