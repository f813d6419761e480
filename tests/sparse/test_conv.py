"""Sparse convolutions against dense ones, in value and gradient, for both backends."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from avjepa.errors import UserError
from avjepa.sparse.backend import SparseBackend
from avjepa.sparse.conv import SparseConv3d, SubmanifoldConv3d, backend_for
from avjepa.sparse.spconv_backend import SPCONV
from avjepa.sparse.tensor import SparseTensor
from avjepa.sparse.torch_backend import TORCH

BACKENDS = [
    pytest.param(TORCH, id="torch"),
    pytest.param(
        SPCONV,
        id="spconv",
        marks=pytest.mark.skipif(not SPCONV.is_available(), reason="spconv is not installed"),
    ),
]


def random_sites(shape: tuple[int, int, int], batch_size: int, share: float, seed: int, ordered: bool) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    indices = (torch.rand((batch_size, *shape), generator=generator) < share).nonzero()
    if not ordered:
        indices = indices[torch.randperm(len(indices), generator=generator)]
    return indices.int().contiguous()


def dense_result(
    x: Tensor, occupied: Tensor, layer: SubmanifoldConv3d | SparseConv3d, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Dense convolution, and the sites at which the sparse one must have an output."""
    dense = functional.conv3d(x, weight.permute(0, 4, 1, 2, 3), bias, stride=layer.stride, padding=layer.padding)
    if isinstance(layer, SubmanifoldConv3d):
        return dense, occupied
    ones = torch.ones(1, 1, *layer.kernel, dtype=x.dtype)
    reached = functional.conv3d(occupied[:, None].to(x.dtype), ones, stride=layer.stride, padding=layer.padding)
    return dense, reached[:, 0] > 0.5


def check_against_dense(
    layer: SubmanifoldConv3d | SparseConv3d, indices: Tensor, shape: tuple[int, int, int], batch_size: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = layer.double()
    torch.nn.init.normal_(layer.bias)
    rows = torch.randn(len(indices), layer.in_channels, dtype=torch.float64, requires_grad=True)
    result = layer(SparseTensor(rows, indices, shape, batch_size))

    occupied = torch.zeros(batch_size, *shape, dtype=torch.bool)
    occupied[tuple(indices.long().T)] = True
    dense_rows = rows.detach().clone().requires_grad_()
    weight, bias = (value.detach().clone().requires_grad_() for value in (layer.weight, layer.bias))
    x = torch.zeros(batch_size, *shape, layer.in_channels, dtype=torch.float64)
    x = x.index_put(tuple(indices.long().T), dense_rows).permute(0, 4, 1, 2, 3)
    expected, active = dense_result(x, occupied, layer, weight, bias)

    assert result.spatial_shape == tuple(expected.shape[2:])
    assert result.indices.dtype == torch.int32 and result.indices.is_contiguous()
    sites = tuple(result.indices.long().T)
    got_active = torch.zeros_like(active)
    got_active[sites] = True
    assert len(result.indices) == int(active.sum()), "a site is listed twice or missing"
    torch.testing.assert_close(got_active, active)
    expected_rows = expected.permute(0, 2, 3, 4, 1)[sites]
    torch.testing.assert_close(result.features, expected_rows, rtol=1e-9, atol=1e-9)

    # a gradient that differs from site to site, so that a transposed pairing cannot cancel out
    direction = torch.randn(expected_rows.shape, dtype=torch.float64)
    got = torch.autograd.grad(result.features, (rows, layer.weight, layer.bias), direction)
    want = torch.autograd.grad(expected_rows, (dense_rows, weight, bias), direction)
    for mine, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SparseBackend:
    chosen: SparseBackend = request.param
    monkeypatch.setattr("avjepa.sparse.conv.backend_for", lambda device_type: chosen)
    return chosen


sizes = st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7))
scenes = st.fixed_dictionaries(
    {
        "shape": sizes,
        "batch_size": st.integers(1, 3),
        "share": st.sampled_from([0.0, 0.02, 0.2, 0.6, 1.0]),
        "seed": st.integers(0, 10_000),
        "ordered": st.booleans(),
    }
)
channels = st.tuples(st.integers(1, 5), st.integers(1, 5))


@pytest.mark.parametrize("chosen", BACKENDS)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(scene=scenes, channels=channels, kernel=st.tuples(*[st.sampled_from([1, 3, 5])] * 3))
def test_submanifold_equals_dense(chosen, scene, channels, kernel):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("avjepa.sparse.conv.backend_for", lambda device_type: chosen)
        layer = SubmanifoldConv3d(*channels, kernel, bias=True)
        check_against_dense(layer, random_sites(**scene), scene["shape"], scene["batch_size"], scene["seed"])


@pytest.mark.parametrize("chosen", BACKENDS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    scene=scenes,
    channels=channels,
    window=st.tuples(*[st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2))] * 3),
)
def test_strided_equals_dense(chosen, scene, channels, window):
    kernel, stride, padding = zip(*window, strict=True)
    fits = all(size + 2 * pad >= extent for size, pad, extent in zip(scene["shape"], padding, kernel, strict=True))
    layer = SparseConv3d(*channels, kernel, stride, padding, bias=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("avjepa.sparse.conv.backend_for", lambda device_type: chosen)
        arguments = (random_sites(**scene), scene["shape"], scene["batch_size"], scene["seed"])
        if fits:
            check_against_dense(layer, *arguments)
        elif len(arguments[0]):
            with pytest.raises(ValueError, match="does not fit"):
                check_against_dense(layer, *arguments)


def test_one_kernel_element_moves_one_site(backend):
    """By hand: weight element (z, y, x) = (0, 1, 2) brings the value from z - 1, y, x + 1."""
    layer = SubmanifoldConv3d(1, 1)
    with torch.no_grad():
        layer.weight.zero_()[0, 0, 1, 2, 0] = 1
    indices = torch.tensor([[0, 1, 2, 3], [0, 2, 2, 2]], dtype=torch.int32)
    result = layer(SparseTensor(torch.tensor([[5.0], [7.0]]), indices, (4, 4, 8), 1))
    assert result.features.tolist() == [[0.0], [5.0]]


def test_sites_do_not_touch_across_samples_or_borders(backend):
    """Neighbours in memory that are not neighbours in space: end of a row, of a layer, of a sample."""
    layer = SubmanifoldConv3d(1, 1)
    torch.nn.init.ones_(layer.weight)
    shape = (2, 3, 4)
    indices = torch.tensor([[0, 0, 0, 3], [0, 0, 1, 0], [0, 0, 2, 3], [0, 1, 0, 0], [1, 0, 0, 0]], dtype=torch.int32)
    result = layer(SparseTensor(torch.ones(5, 1), indices, shape, 2))
    # within sample 0, (z, y, x) = (0, 1, 0) and (1, 0, 0) do touch, diagonally; nothing else does
    assert result.features[:, 0].tolist() == [1.0, 2.0, 1.0, 2.0, 1.0]


@pytest.mark.parametrize("layer", [SubmanifoldConv3d(3, 5, bias=True), SparseConv3d(3, 5, 3, 2, 1, bias=True)])
def test_no_sites_give_no_rows_and_zero_gradients(backend, layer):
    """Every parameter gets a gradient, or training on several processes would wait for it for ever."""
    empty = SparseTensor(torch.zeros(0, 3), torch.zeros(0, 4, dtype=torch.int32), (8, 8, 8), 2)
    layer.zero_grad()
    result = layer(empty)
    assert result.features.shape == (0, 5) and result.indices.shape == (0, 4)
    result.features.sum().backward()
    assert layer.weight.grad is not None and not layer.weight.grad.any()
    assert layer.bias.grad is not None and not layer.bias.grad.any()


def test_gradients_flow_in_eval_mode(backend):
    layer = SubmanifoldConv3d(2, 2).eval()
    indices = random_sites((4, 4, 4), 1, 0.5, 0, True)
    layer(SparseTensor(torch.randn(len(indices), 2), indices, (4, 4, 4), 1)).features.sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.any()


def test_autocast_leaves_the_precision_alone(backend):
    layer = SubmanifoldConv3d(4, 4)
    indices = random_sites((4, 6, 8), 2, 0.5, 0, True)
    rows = torch.randn(len(indices), 4, requires_grad=True)
    gradients = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            result = layer(SparseTensor(rows, indices, (4, 6, 8), 2)).features
        assert result.dtype == torch.float32
        gradients.append(torch.autograd.grad(result.square().sum(), (rows, layer.weight)))
    assert all(torch.equal(plain, mixed) for plain, mixed in zip(*gradients, strict=True))


def test_torch_backward_within_autocast_keeps_its_precision():
    layer = SubmanifoldConv3d(4, 4)
    indices = random_sites((4, 6, 8), 2, 0.5, 0, True)
    rows = torch.randn(len(indices), 4, requires_grad=True)
    result = layer(SparseTensor(rows, indices, (4, 6, 8), 2)).features.sum()
    expected = torch.autograd.grad(result, (rows, layer.weight), retain_graph=True)
    with torch.autocast("cpu", torch.bfloat16):
        got = torch.autograd.grad(result, (rows, layer.weight))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(got, expected, strict=True))


def test_layers_on_the_same_sites_share_the_search(backend):
    indices = random_sites((4, 6, 8), 2, 0.5, 0, True)
    x = SparseTensor(torch.randn(len(indices), 4), indices, (4, 6, 8), 2)
    SubmanifoldConv3d(4, 4)(SubmanifoldConv3d(4, 4)(x))
    assert len(x.rulebooks) == 1
    SubmanifoldConv3d(4, 4, (1, 3, 3))(x)
    assert len(x.rulebooks) == 2


def test_both_backends_hold_the_same_parameters():
    """A state dict made for spconv's own layer loads into ours and computes the same."""
    spconv = pytest.importorskip("spconv.pytorch")
    indices = random_sites((5, 9, 7), 2, 0.3, 3, True)
    rows = torch.randn(len(indices), 4)
    theirs = spconv.SparseConv3d(4, 6, 3, 2, 1, bias=True, algo=spconv.ConvAlgo.Native)
    ours = SparseConv3d(4, 6, 3, 2, 1, bias=True)
    ours.load_state_dict(theirs.state_dict())
    torch.nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    expected = theirs(spconv.SparseConvTensor(rows, indices, [5, 9, 7], 2)).dense()
    torch.testing.assert_close(ours(SparseTensor(rows, indices, (5, 9, 7), 2)).dense(), expected)


def test_the_cpu_runs_plain_torch():
    assert backend_for("cpu") is TORCH


def test_even_submanifold_kernel_is_refused():
    with pytest.raises(ValueError, match="odd kernel"):
        SubmanifoldConv3d(1, 1, 2)


def test_wrong_number_of_channels_is_named():
    x = SparseTensor(torch.zeros(0, 3), torch.zeros(0, 4, dtype=torch.int32), (8, 8, 8), 2)
    with pytest.raises(ValueError, match="3 channels"):
        SubmanifoldConv3d(4, 4)(x)


def test_the_backend_on_cuda_is_a_choice(monkeypatch):
    backend_for.cache_clear()
    monkeypatch.setenv("AVJEPA_SPARSE_BACKEND", "torch")
    assert backend_for("cuda") is TORCH
    backend_for.cache_clear()
    monkeypatch.setenv("AVJEPA_SPARSE_BACKEND", "minkowski")
    with pytest.raises(UserError, match=r"AVJEPA_SPARSE_BACKEND=minkowski: is not installed; choose one of .*torch"):
        backend_for("cuda")
    backend_for.cache_clear()
