import torch

from avjepa.encoders.camera.lift import weighted_sums


def test_they_are_a_sparse_matrix_product_in_value_and_gradient() -> None:
    """Targets without an entry, with one, and with a source twice; a source that nobody reads."""
    sizes = torch.tensor([2, 0, 3, 1])
    source = torch.tensor([4, 1, 0, 0, 2, 4])
    table = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, dtype=torch.float64, requires_grad=True)
    matrix = torch.zeros(4, 6, dtype=torch.float64).index_put(
        (torch.repeat_interleave(torch.arange(4), sizes), source), weight, accumulate=True
    )
    direction = torch.randn(4, 3, dtype=torch.float64)
    found = weighted_sums(table, source, weight, sizes)
    torch.testing.assert_close(found, matrix @ table)
    ours = torch.autograd.grad(found, (table, weight), direction)
    theirs = torch.autograd.grad(matrix @ table, (table, weight), direction)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_nothing_to_sum() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    table = torch.randn(5, 3, requires_grad=True)
    sums = weighted_sums(table, none, torch.zeros(0), torch.zeros(4, dtype=torch.int64))
    sums.sum().backward()
    assert torch.equal(sums, torch.zeros(4, 3)) and torch.equal(table.grad, torch.zeros(5, 3))
