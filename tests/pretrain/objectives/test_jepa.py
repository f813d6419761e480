import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from avjepa.data.sample import PretrainBatch
from avjepa.encoders.base import BEVMap, DenseFeatures, Tokens
from avjepa.pretrain.masking.generators import MultiBlock
from avjepa.pretrain.monitoring.diagnostics import collapse_measures
from avjepa.pretrain.objectives.cells import CellWeights, cell_loss, drawn_cells, loss_cells
from avjepa.pretrain.objectives.distance import best_constant, cell_distance
from avjepa.pretrain.objectives.ema import Momentum
from avjepa.pretrain.objectives.jepa import JEPA
from avjepa.pretrain.objectives.predictor import PredictorOptions
from avjepa.pretrain.objectives.regularisers import SIGRegOptions
from avjepa.pretrain.objectives.targets import EMATargetOptions, FrozenTargetOptions, SharedTargetOptions
from tests.batch_tokens import BatchTokens
from tests.pretrain.toys import GRID, ToyEncoder, batch_of, scene, toy_batch


def jepa(seed: int = 0, norm: bool = False, target: Any = None, **options: Any) -> JEPA:
    torch.manual_seed(seed)
    masks = MultiBlock(sides=(1.0, 2.0))
    target = EMATargetOptions(Momentum(0.99, 0.99)) if target is None else target
    return JEPA(ToyEncoder(norm=norm), masks, target, predictor=PredictorOptions(32, (1, 2)), **options)


def train(model: JEPA, start: int, end: int, batch_size: int = 4, optimiser: Any = None) -> Any:
    optimiser = optimiser or torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    for step in range(start, end):
        output = model(toy_batch(list(range(step * batch_size, (step + 1) * batch_size))))
        optimiser.zero_grad()
        output.loss.backward()
        optimiser.step()
        model.after_step(step + 1)
    return optimiser


def visible_std(model: JEPA) -> float:
    """Std of L2-normalised embeddings of visible occupied cells, times √C: 1 is healthy."""
    model.eval()
    with torch.no_grad():
        shown = model(toy_batch(list(range(10_000, 10_016)))).embeddings
    tokens = shown.context.permute(0, 2, 3, 1)[shown.occupied & ~shown.masked]
    return float(torch.nn.functional.normalize(tokens, dim=1).std(0).mean()) * tokens.shape[1] ** 0.5


def loss_vs_constant(model: JEPA) -> float:
    model.eval()
    with torch.no_grad():
        measures = collapse_measures(model(toy_batch(list(range(10_000, 10_016)))).embeddings)
    ratio = measures["loss_vs_constant_occupied"]
    assert ratio is not None
    return ratio


@pytest.mark.parametrize("options", [{}, {"distance": "cosine"}], ids=["smooth_l1", "cosine"])
def test_it_learns_what_the_mean_target_does_not_know(options: dict[str, Any]) -> None:
    """On unseen scenes whose structure a visible part reveals; healthy embeddings stay spread."""
    model = jepa(**options)
    before = loss_vs_constant(model)
    train(model.train(), 0, 80)
    assert before > 0.95
    assert loss_vs_constant(model) < 0.8
    assert visible_std(model) > 0.6


def test_collapse_is_seen_though_the_loss_falls() -> None:
    """No teacher, no stopped gradient, no regulariser: the loss goes to zero and nothing is learned."""
    model = jepa(
        target=SharedTargetOptions(stop_gradient=False),
        input_dropout=0.0,
        intermediate_features=False,
        normalisation="none",
        standardise=False,
    )
    first = float(model(toy_batch([0, 1, 2, 3])).loss.detach())
    train(model, 0, 60)
    with torch.no_grad():
        last = float(model(toy_batch([0, 1, 2, 3])).loss)
    assert last < 0.02 * first
    assert loss_vs_constant(model) > 1, "worse than the mean target"
    assert visible_std(model) < 0.15


@pytest.mark.parametrize("regulariser", [SIGRegOptions])
def test_a_shared_encoder_with_a_regulariser_does_not_collapse(regulariser: Callable[[], Any]) -> None:
    model = jepa(target=SharedTargetOptions(), regularisers=(regulariser(),))
    train(model, 0, 60)
    assert visible_std(model) > 0.25


@pytest.mark.parametrize(
    "target", [EMATargetOptions, SharedTargetOptions, lambda: FrozenTargetOptions(ToyEncoder(channels=8))]
)
def test_every_trainable_parameter_gets_a_gradient_and_nothing_else(target: Callable[[], Any]) -> None:
    """Defects 1 and 3: tokens are trained, and no gradient comes through the target."""
    model = jepa(
        target=target(),
        regularisers=(SIGRegOptions(),),
        reconstruction_weight=1.0,
    )
    model(toy_batch([1, 2])).loss.backward()
    for name, parameter in model.named_parameters():
        if name.startswith("target."):
            assert not parameter.requires_grad
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_raw_content_is_a_depth_of_the_target() -> None:
    """Its terms are those of the generative objective, from a head of its own; embeddings are predicted as before."""
    batch = toy_batch([1, 2])
    plain, joined = jepa(), jepa(reconstruction_weight=0.5)
    names = ("masked_occupied", "masked_empty", "visible_occupied", "visible_empty")
    output = joined(batch)
    assert output.terms.keys() == {*names, *(f"reconstruction_{name}" for name in names)}
    for name in names:
        torch.testing.assert_close(output.terms[name], plain(batch).terms[name])


def test_the_reconstruction_is_compared_with_the_points_in_the_cell() -> None:
    """A head that says the same everywhere: every bin 50 %, and no point; its distance by hand, cell by cell."""
    batch, model = toy_batch([1, 2]), jepa(reconstruction_weight=0.5)
    torch.nn.init.zeros_(model.reconstruction_head.weight)
    torch.nn.init.zeros_(model.reconstruction_head.bias)
    output = model(batch)
    by_hand: dict[str, list[list[float]]] = {"masked_occupied": [[], []], "masked_empty": [[], []]}
    for sample, seed in enumerate([1, 2]):
        heights: dict[tuple[int, int], list[float]] = {}
        for x, y, z, *_ in scene(seed).tolist():
            heights.setdefault((int(y + 8), int(x + 10)), []).append((z + 1.25) / 5)
        for cell in map(tuple, output.embeddings.masked[sample].nonzero().tolist()):
            there = heights.get(cell, [])
            # smooth L1 of beta 0.1 is |d| - 0.05 beyond 0.1, which all of these are
            density = math.log(1 + len(there)) - 0.05 if there else 0.0
            height = (sum(there) / len(there) + max(there)) / 2 - 0.05 if there else 0.0
            kind = "masked_occupied" if there else "masked_empty"
            by_hand[kind][sample].append(math.log(2) + 0.1 * density + height)
    for (kind, (first, second)), weight in zip(by_hand.items(), (0.75, 0.25), strict=True):
        expected = 0.5 * weight * (sum(first) / len(first) + sum(second) / len(second)) / 2
        assert float(output.terms[f"reconstruction_{kind}"]) == pytest.approx(expected, rel=1e-5), kind


def test_no_gradient_comes_through_the_target() -> None:
    """Defect 3: the gradient equals that towards the same targets given as constants."""
    model = jepa(target=SharedTargetOptions())
    batch = toy_batch([1, 2])
    model(batch).loss.backward()
    through_model = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    constant = FrozenTargetOptions(ToyEncoder()).build(model.encoder)
    constant.teacher.load_state_dict(model.encoder.state_dict())
    model.zero_grad()
    model.target_features.standardiser.load_state_dict(jepa().target_features.standardiser.state_dict())  # type: ignore[union-attr]
    model.target = constant
    model(batch).loss.backward()
    for name, parameter in model.named_parameters():
        if name in through_model:
            torch.testing.assert_close(parameter.grad, through_model[name])


def test_hidden_points_do_not_reach_the_prediction() -> None:
    """The context's hidden cells hold other points: embeddings and prediction stay as they are."""
    model = jepa(input_dropout=0.0).eval()
    batch = toy_batch([1, 2])
    shown = model(batch).embeddings
    assert batch.context.lidar is not None
    cell, _ = GRID.cell_of(batch.context.lidar.xyz[:, :2])
    in_masked = shown.masked[batch.context.lidar.batch_index, cell[:, 0], cell[:, 1]]
    assert in_masked.any()
    features = batch.context.lidar.features.clone()
    features[in_masked, 2] += 5
    changed = replace(batch.context, lidar=replace(batch.context.lidar, features=features))
    other = model(PretrainBatch(changed, batch.target)).embeddings
    torch.testing.assert_close(other.prediction, shown.prediction)
    torch.testing.assert_close(other.context, shown.context)
    assert (other.target == shown.target).all()


def test_the_target_may_know_more() -> None:
    """A privileged target view is what is encoded as target, and its occupied cells count as occupied."""
    model = jepa(input_dropout=0.0).eval()
    seeds = [1, 2]
    few, more = [scene(s, 3) for s in seeds], [torch.cat((scene(s, 3), scene(s + 50, 6))) for s in seeds]
    privileged = PretrainBatch(batch_of(few, seeds), batch_of(more, seeds))
    plain = PretrainBatch(privileged.context, privileged.context)
    assert torch.equal(model(privileged).embeddings.masked, model(plain).embeddings.masked)
    torch.testing.assert_close(model(privileged).embeddings.context, model(plain).embeddings.context)


class Heights(ToyEncoder):
    """Its map is the image itself: whether something is in a cell, and how high."""

    def __init__(self) -> None:
        super().__init__(channels=2)

    def encode(self, tokens: Tokens, masked: Tensor | None = None) -> BEVMap:
        assert isinstance(tokens, BatchTokens)
        image = self.image(tokens.batch)
        return BEVMap(image, image[:, 0] > 0, (DenseFeatures(image),))


def test_what_is_predicted_is_the_privileged_view() -> None:
    plain = {"intermediate_features": False, "normalisation": "none", "standardise": False}
    model = jepa(target=FrozenTargetOptions(Heights()), **plain)
    seeds = [1, 2]
    few, more = [scene(s, 3) for s in seeds], [torch.cat((scene(s, 3), scene(s + 50, 6))) for s in seeds]
    shown = model(PretrainBatch(batch_of(few, seeds), batch_of(more, seeds))).embeddings
    highest: dict[tuple[int, int, int], float] = {}
    for sample, cloud in enumerate(more):
        for x, y, z, *_ in cloud.tolist():
            cell = (sample, int(y + 8), int(x + 10))
            highest[cell] = max(z, highest.get(cell, 0.0))
    compared = [tuple(cell) for cell in shown.compared.nonzero().tolist()]
    assert shown.target.tolist() == [[float(cell in highest), highest.get(cell, 0.0)] for cell in compared]
    only_in_target = highest.keys() - {(s, *c) for s in range(2) for c in shown.occupied[s].nonzero().tolist()}
    assert only_in_target & set(compared), "cells that the context does not know are compared too"


@pytest.mark.parametrize("things", [[0, 0], [0, 4], [1, 0]])
def test_samples_with_next_to_nothing_in_them(things: list[int]) -> None:
    """Defect 7: an empty cloud, and one point, give finite losses and gradients."""
    clouds = [scene(i, count)[: 1 if count == 1 else None] for i, count in enumerate(things)]
    batch = batch_of(clouds, [0, 1])
    model = jepa(regularisers=(SIGRegOptions(),))
    output = model(PretrainBatch(batch, batch))
    output.loss.backward()
    assert output.loss.isfinite()
    assert all(term.isfinite() for term in output.terms.values())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_a_sample_s_loss_does_not_depend_on_its_batch() -> None:
    """Evaluated without running statistics in between: the mean over samples of what each gives alone."""
    model = jepa().eval()
    together = float(model(toy_batch([1, 2, 3])).loss.detach())
    alone = [float(model(toy_batch([seed])).loss.detach()) for seed in (1, 2, 3)]
    assert together == pytest.approx(sum(alone) / 3, rel=1e-5)


def test_stop_and_resume_is_exact() -> None:
    """Objective and optimiser state hold everything: teacher, statistics, SIGReg's step."""
    whole, first = (jepa(norm=True, regularisers=(SIGRegOptions(),)) for _ in range(2))
    train(whole, 0, 6)
    optimiser = train(first, 0, 3)
    second = jepa(seed=99, norm=True, regularisers=(SIGRegOptions(),))
    second.load_state_dict(first.state_dict())
    resumed = torch.optim.AdamW([p for p in second.parameters() if p.requires_grad], lr=3e-3)
    resumed.load_state_dict(optimiser.state_dict())
    train(second, 3, 6, optimiser=resumed)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def test_loss_is_fp32_under_autocast() -> None:
    model = jepa(regularisers=(SIGRegOptions(),))
    with torch.autocast("cpu", torch.bfloat16):
        output = model(toy_batch([1, 2]))
    assert output.loss.dtype == torch.float32
    assert all(term.dtype == torch.float32 for term in output.terms.values())
    output.loss.backward()
    full = jepa(regularisers=(SIGRegOptions(),))(toy_batch([1, 2])).loss
    torch.testing.assert_close(output.loss, full, rtol=0.05, atol=0)


def test_the_loss_is_the_sum_of_its_terms() -> None:
    output = jepa(regularisers=(SIGRegOptions(),))(toy_batch([1, 2]))
    names = {"masked_occupied", "masked_empty", "visible_occupied", "visible_empty"}
    names |= {"sigreg"}
    assert output.terms.keys() == names
    assert float(sum(output.terms[name] for name in names)) == pytest.approx(float(output.loss.detach()), rel=1e-6)


def test_cell_loss_by_hand() -> None:
    """Two samples on three cells: means per sample and kind first, then over samples, then the weights."""
    distance = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])
    masked = torch.tensor([[[True, True, False]], [[True, False, False]]])
    occupied = torch.tensor([[[True, True, True]], [[True, False, False]]])
    valid = torch.tensor([[[True, True, True]], [[True, True, False]]])
    cells = loss_cells(masked, occupied, torch.tensor([1, 2]), 99, valid)
    assert cells.at.tolist() == [0, 1, 2, 3, 4] and cells.sample.tolist() == [0, 0, 0, 1, 1]
    terms = cell_loss(distance, cells, CellWeights(0.75, 0.25, 0.5))
    by_hand = {
        "masked_occupied": 0.75 * ((1 + 2) / 2 + 8) / 2,
        "masked_empty": 0.0,
        "visible_occupied": 0.5 * 0.75 * (4 + 0) / 2,
        "visible_empty": 0.5 * 0.25 * (0 + 16) / 2,
    }
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(by_hand)
    assert cell_loss(distance, cells, CellWeights(1.0, 0.0, 0.0)).keys() == {"masked_occupied"}


def test_distances_by_hand() -> None:
    first, second = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 2.0], [0.0, 3.0]])
    assert cell_distance(first, second, "cosine").tolist() == pytest.approx([1.0, 0.0])
    # channels differ by (1, 2) and by (0, 2); smooth L1 is d²/2 up to 1, d - 1/2 above
    assert cell_distance(first, second, "smooth_l1").tolist() == pytest.approx([1.0, 0.75])
    assert best_constant(second, "smooth_l1").tolist() == [0.0, 2.5]
    assert best_constant(torch.stack((first[0], second[0])), "cosine").tolist() == pytest.approx([0.5, 0.5])


def test_the_loss_on_a_draw_of_cells_is_that_on_all_of_them_in_expectation() -> None:
    """And equal to it where the draw takes every cell."""
    batch = toy_batch([1, 2])
    model = jepa(cells_per_kind=10**6).eval()
    full = model(batch)
    assert full.embeddings.compared is not None and full.embeddings.compared.all()
    masked, occupied = full.embeddings.masked, full.embeddings.occupied
    distance = cell_distance(full.embeddings.prediction, full.embeddings.target, "smooth_l1")
    losses = []
    for seed in range(200):
        cells = loss_cells(masked, occupied, torch.tensor([seed, seed + 1000]), 6)
        marked = torch.zeros_like(masked).flatten().index_fill(0, cells.at, True).view_as(masked)
        assert torch.equal(cells.masked, masked.flatten()[cells.at])
        assert torch.equal(cells.occupied, occupied.flatten()[cells.at])
        for seen in (masked, ~masked):
            for kind in (occupied, ~occupied):
                drawn, there = (marked & seen & kind).sum((1, 2)), (seen & kind).sum((1, 2))
                assert torch.equal(drawn, there.clamp(max=6))
        terms = cell_loss(distance[cells.at], cells, CellWeights())
        losses.append(float(sum(terms.values())))
    assert sum(losses) / len(losses) == pytest.approx(float(full.loss.detach()), rel=0.02)


def test_drawn_cells_are_those_marked_and_a_function_of_the_seed() -> None:
    marked = torch.rand(3, 6, 9, generator=torch.Generator().manual_seed(0)) < 0.4
    marked[1] = False
    seeds = torch.tensor([4, 5, 6])
    drawn = drawn_cells(marked, seeds, 7)
    sample = drawn // 54
    assert marked.flatten()[drawn].all()
    assert torch.bincount(sample, minlength=3).tolist() == [7, 0, 7]
    assert len(drawn.unique()) == 14
    alone = drawn_cells(marked[2:], seeds[2:], 7)
    assert torch.equal(drawn[sample == 2] - 2 * 54, alone)
    assert len(drawn_cells(marked, seeds, 1000)) == int(marked.sum())


def test_masks_are_the_seeds_alone() -> None:
    batch = toy_batch([3, 4])
    first = jepa()(batch).embeddings.masked
    torch.manual_seed(1234)
    again = jepa(seed=5)(batch).embeddings.masked
    assert torch.equal(first, again)
    other_seed = replace(batch.context, seeds=torch.tensor([3, 5]))
    changed = jepa()(PretrainBatch(other_seed, other_seed)).embeddings.masked
    assert torch.equal(first[0], changed[0]) and not torch.equal(first[1], changed[1])
