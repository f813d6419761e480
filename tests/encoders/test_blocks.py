"""Shapes, reach and robustness of the shared blocks."""

import pytest
import torch
from torch import nn

from avjepa.encoders.blocks import BEVUNet, ConvNormReLU, ResidualBlock, SparseNorm, require_depths
from avjepa.errors import UserError


@pytest.mark.parametrize("upsampling", ["transposed", "bilinear"])
@pytest.mark.parametrize("size", [(16, 24), (13, 22), (5, 3)])
def test_unet_keeps_the_grid_whatever_its_size(size, upsampling):
    network = BEVUNet(3, 7, channels=(4, 6, 8), blocks=(0, 1, 2), upsampling=upsampling)
    first, out = network(torch.randn(2, 3, *size))
    assert first.shape == (2, 4, *size) and out.shape == (2, 7, *size)
    out.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def reach(network: BEVUNet, size: int) -> tuple[int, int]:
    """(rows, columns) of the input that the central output cell depends on.

    With weights and input above zero no rectifier is shut and no two paths cancel: all that is connected shows.
    """
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    x = torch.rand(1, 2, size, size, requires_grad=True)
    network(x)[1][0, :, size // 2, size // 2].sum().backward()
    rows, columns = (x.grad[0].abs().sum(0) > 0).nonzero().unbind(1)
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def test_unet_sees_a_bus_from_every_cell_of_the_tiny_preset():
    """A bus is 12 m or 15 cells of 0.8 m long; seen whole from either end that is 31 cells."""
    network = BEVUNet(2, 4, channels=(4, 4, 4), blocks=(0, 1, 2)).eval()
    rows, columns = reach(network, 64)
    assert rows >= 31 and columns >= 31


def test_unet_is_local_without_coarser_depths():
    assert reach(BEVUNet(2, 4, channels=(4,), blocks=(1,)).eval(), 32) == (7, 7)


def test_unet_output_is_signed():
    out = BEVUNet(3, 8, channels=(8, 8), blocks=(1, 1))(torch.randn(2, 3, 16, 16))[1]
    assert 0.2 < (out < 0).float().mean() < 0.8


def test_unet_starts_with_outputs_of_ordinary_size():
    torch.manual_seed(0)
    out = BEVUNet(16, 32, channels=(16, 32, 32), blocks=(1, 1, 1))(torch.randn(4, 16, 32, 32))[1]
    assert 0.3 < out.std() < 4


def test_interpolation_leaves_no_lattice_in_a_constant_map():
    """Whatever the weights, each of the 4 × 4 cells that a coarsest cell covers is treated as the others are."""
    torch.manual_seed(0)
    network = BEVUNet(3, 5, channels=(4, 6, 8), blocks=(0, 0, 1), upsampling="bilinear").eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    out = network(torch.ones(1, 3, 64, 64))[1]
    interior = out[..., 28:36, 28:36]
    torch.testing.assert_close(interior, interior[..., :1, :1].expand_as(interior), rtol=1e-4, atol=1e-4)
    assert (out[..., 0, 0] - interior[..., 0, 0]).abs().max() > 0.1  # the edge of the map shows, so the weights count


def test_depths_need_blocks():
    for channels, blocks in (((4, 4), (1,)), ((), ())):
        with pytest.raises(UserError, match=r"Some: .* give both the same number of entries"):
            require_depths("Some", channels, blocks)


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 3)])
def test_convolution_keeps_the_size(kernel, dilation):
    assert ConvNormReLU(2, 3, kernel=kernel, dilation=dilation)(torch.randn(2, 2, 9, 11)).shape == (2, 3, 9, 11)


def test_residual_block_passes_its_input_on():
    block = ResidualBlock(4).eval()
    nn.init.zeros_(block.second[1].weight)
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(block(x), x.clamp(min=0))


@pytest.mark.parametrize("rows", [0, 1])
def test_norm_of_hardly_any_rows_is_finite_and_leaves_the_statistics(rows):
    norm = SparseNorm(3).train()
    norm(torch.randn(50, 3) * 2 + 1)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    x = torch.randn(rows, 3, requires_grad=True)
    out = norm(x)
    out.sum().backward()
    assert out.shape == (rows, 3) and out.isfinite().all()
    assert norm.weight.grad is not None and norm.weight.grad.isfinite().all()
    assert all(torch.equal(before[name], value) for name, value in norm.state_dict().items())


def test_norm_of_many_rows_is_batch_norm():
    x = torch.randn(40, 3) * 3 + 2
    out = SparseNorm(3).train()(x)
    torch.testing.assert_close(out, (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt())
