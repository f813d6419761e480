"""Measures of collapse on cases whose answer is known by hand."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from avjepa.pretrain.monitoring.alarm import CollapseAlarm
from avjepa.pretrain.monitoring.diagnostics import (
    FeatureQueue,
    cells_of,
    collapse_measures,
    loss_vs_constant,
    mean_cosine,
    rank_me,
    spread,
)
from avjepa.pretrain.monitoring.probe import OccupancyProbe, average_precision
from avjepa.pretrain.objectives.distance import Distance
from avjepa.pretrain.objectives.objective import Embeddings


def gaussian(cells: int, channels: int, seed: int = 0) -> Tensor:
    return torch.randn(cells, channels, generator=torch.Generator().manual_seed(seed))


class TestSpread:
    def test_isotropic_embeddings_have_one_over_root_channels(self) -> None:
        assert spread(gaussian(20_000, 64)) == pytest.approx(1 / 8, rel=0.01)

    def test_it_does_not_depend_on_scale(self) -> None:
        assert spread(1000 * gaussian(500, 8)) == pytest.approx(spread(gaussian(500, 8)))

    def test_one_direction_of_different_lengths_is_collapse(self) -> None:
        assert spread(torch.rand(50, 1) * torch.ones(50, 8) + 0.0) == pytest.approx(0, abs=1e-6)

    def test_two_opposite_directions(self) -> None:
        assert spread(torch.tensor([[2.0, 0.0], [-3.0, 0.0]])) == pytest.approx(0.5)  # std 1 and 0, mean of channels


class TestMeanCosine:
    @given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 10_000))
    def test_it_is_the_mean_over_pairs(self, count: int, channels: int, seed: int) -> None:
        cells = gaussian(count, channels, seed)
        pairs = [
            float(torch.nn.functional.cosine_similarity(cells[i].double(), cells[j].double(), dim=0))
            for i in range(count)
            for j in range(count)
            if i != j
        ]
        assert mean_cosine(cells) == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)

    def test_collapse_is_one(self) -> None:
        assert mean_cosine(torch.ones(9, 4)) == pytest.approx(1)


class TestRankMe:
    def test_orthogonal_features_of_equal_length_have_full_rank(self) -> None:
        assert rank_me(torch.eye(8), centred=False) == pytest.approx(8)
        # the centred simplex of 8 corners spans 7 dimensions evenly
        assert rank_me(torch.eye(8), centred=True) == pytest.approx(7)

    def test_two_singular_values_by_hand(self) -> None:
        features = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
        by_hand = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
        assert rank_me(features, centred=False) == pytest.approx(by_hand)

    def test_rank_four_in_many_channels(self) -> None:
        features = gaussian(4000, 4) @ torch.linalg.qr(gaussian(128, 4, 1)).Q.T
        assert rank_me(features, centred=True) == pytest.approx(4, rel=0.01)

    def test_constant_and_noise_fools_the_centred_rank_only(self) -> None:
        features = torch.ones(5000, 256) + 1e-3 * gaussian(5000, 256)
        centred, uncentred = rank_me(features, centred=True), rank_me(features, centred=False)
        assert centred is not None and uncentred is not None
        assert centred > 250 and uncentred < 1.5

    def test_a_common_offset_fools_the_uncentred_rank_only(self) -> None:
        features = gaussian(5000, 64) + 1e5
        centred, uncentred = rank_me(features, centred=True), rank_me(features, centred=False)
        assert centred is not None and uncentred is not None
        assert centred > 62 and uncentred < 1.01

    def test_nothing_left_is_rank_zero(self) -> None:
        assert rank_me(torch.zeros(10, 4), centred=False) == 0
        assert rank_me(torch.full((10, 4), 0.3), centred=True) == 0

    @given(st.integers(2, 20), st.integers(1, 20), st.integers(0, 1000))
    def test_few_cells_bound_it(self, cells: int, channels: int, seed: int) -> None:
        rank = rank_me(gaussian(cells, channels, seed), centred=False)
        assert rank is not None and 1 - 1e-9 <= rank <= min(cells, channels) + 1e-6


class TestLossVsConstant:
    def test_perfect_and_trivial_predictions(self) -> None:
        target = gaussian(500, 16) + 0.5
        assert loss_vs_constant(3 * target, target, "cosine") == pytest.approx(0, abs=1e-6)
        assert loss_vs_constant(target, target, "smooth_l1") == pytest.approx(0, abs=1e-6)
        direction = torch.nn.functional.normalize(target, dim=-1).mean(0)
        assert loss_vs_constant(direction.expand_as(target), target, "cosine") == pytest.approx(1, abs=1e-5)
        assert loss_vs_constant(target.mean(0).expand_as(target), target, "smooth_l1") == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize("distance", ["cosine", "smooth_l1"])
    def test_no_constant_beats_it(self, distance: Distance) -> None:
        target = gaussian(500, 16) + 0.5
        for seed in range(20):
            ratio = loss_vs_constant(gaussian(1, 16, seed).expand_as(target), target, distance)
            assert ratio is not None and ratio > 1

    def test_two_targets_by_hand(self) -> None:
        target = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        prediction = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
        # losses 0 and 1; the best constant lies at 45 degrees
        assert loss_vs_constant(prediction, target, "cosine") == pytest.approx(0.5 / (1 - math.sqrt(0.5)))
        # losses 0 and 1/2; the mean is (1/2, 1/2), at 1/8 from both
        assert loss_vs_constant(prediction, target, "smooth_l1") == pytest.approx(0.25 / 0.125)

    def test_targets_that_are_all_alike_have_no_ratio(self) -> None:
        assert loss_vs_constant(gaussian(5, 3), torch.ones(5, 3), "cosine") is None
        assert loss_vs_constant(gaussian(5, 3), torch.ones(5, 3), "smooth_l1") is None


def embeddings(occupied_cells: int, batch: int = 2, channels: int = 8) -> Embeddings:
    occupied = torch.zeros(batch, 6, 4, dtype=torch.bool)
    occupied.view(-1)[:occupied_cells] = True
    masked = torch.zeros_like(occupied)
    masked[:, :, ::2] = True
    context, prediction, target = (gaussian(batch * 24, channels, seed) for seed in range(3))
    everywhere = torch.ones_like(occupied)
    map_ = context.view(batch, 6, 4, channels).permute(0, 3, 1, 2)
    return Embeddings(map_, masked, occupied, everywhere, prediction, target)


class TestCells:
    def test_values_follow_the_mask(self) -> None:
        maps = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
        mask = torch.zeros(2, 4, 5, dtype=torch.bool)
        mask[0, 1, 2] = mask[1, 3, 0] = True
        assert cells_of(maps, mask).tolist() == [maps[0, :, 1, 2].tolist(), maps[1, :, 3, 0].tolist()]

    def test_a_sample_of_a_large_map_has_its_mean(self) -> None:
        """Also where the map repeats itself along its rows, so that every n-th cell would not do."""
        maps = torch.arange(128.0).expand(4, 1, 128, 128)
        sample = cells_of(maps, torch.ones(4, 128, 128, dtype=torch.bool), limit=2048)
        assert len(sample.unique(dim=0)) == 128 and len(sample) == 2048
        assert float(sample.mean()) == pytest.approx(63.5, abs=3)


class TestMeasures:
    def test_kinds_and_roles_are_kept_apart(self) -> None:
        """Occupied cells vary, empty ones are constant; so for the context only."""
        case = embeddings(20)
        context = torch.where(case.occupied[:, None], case.context, torch.ones(8)[:, None, None])
        measures = collapse_measures(replace(case, context=context))
        assert measures["context_cosine_empty"] == pytest.approx(1)
        assert measures["context_cosine_occupied"] < 0.9  # type: ignore[operator]
        assert measures["target_cosine_empty"] < 0.9  # type: ignore[operator]

    def test_context_is_measured_where_it_saw_and_target_where_it_was_masked(self) -> None:
        case = embeddings(48)
        assert case.prediction is not None and case.target is not None
        in_rows = case.masked.flatten()[:, None]
        spoilt = replace(
            case,
            context=torch.where(case.masked[:, None], torch.nan, case.context),
            prediction=torch.where(in_rows, case.prediction, torch.nan),
            target=torch.where(in_rows, case.target, torch.nan),
        )
        assert collapse_measures(spoilt) == collapse_measures(case)

    def test_rows_belong_to_the_cells_that_were_compared(self) -> None:
        """Rows of all cells, and of a part of them, give the same measures of those cells."""
        case = embeddings(20)
        assert case.prediction is not None and case.target is not None
        part = torch.rand(case.masked.shape, generator=torch.Generator().manual_seed(5)) < 0.7
        kept = part.flatten()
        rows = replace(case, compared=part, prediction=case.prediction[kept], target=case.target[kept])
        elsewhere = replace(case, masked=case.masked & part)
        names = ("prediction_std_occupied", "target_cosine_empty", "loss_vs_constant_empty")
        assert [collapse_measures(rows)[name] for name in names] == [
            collapse_measures(elsewhere)[name] for name in names
        ]

    @pytest.mark.parametrize("cells", [0, 1, 2, 3, 48])
    def test_sparse_input_gives_numbers_or_nothing(self, cells: int) -> None:
        measures = collapse_measures(embeddings(cells))
        assert all(value is None or math.isfinite(value) for value in measures.values())
        if cells == 0:
            assert {name for name, value in measures.items() if value is None} == {
                name for name in measures if name.endswith("occupied")
            }

    def test_objectives_without_target_have_no_target_measures(self) -> None:
        case = embeddings(20)
        measures = collapse_measures(Embeddings(case.context, case.masked, case.occupied))
        assert sorted({name.split("_")[0] for name in measures}) == ["context"]

    def test_no_random_number_is_drawn(self) -> None:
        state = torch.get_rng_state()
        collapse_measures(embeddings(20))
        OccupancyProbe(8).learn(gaussian(20, 8), gaussian(20, 1)[:, 0] > 0)
        assert torch.equal(torch.get_rng_state(), state)


class TestQueue:
    def test_it_forgets_the_oldest(self) -> None:
        queue = FeatureQueue(size=6)
        queue.push(torch.arange(4.0)[:, None])
        queue.push(torch.arange(100.0, 103.0)[:, None])
        queue.push(torch.zeros(0, 1))
        queue.push(torch.tensor([[7.0]]))
        assert queue.features is not None
        assert queue.features[:, 0].tolist() == [2, 3, 100, 101, 102, 7]

    def test_a_few_cells_at_a_time_add_up_to_a_rank(self) -> None:
        queue = FeatureQueue(size=64)
        cells = gaussian(64, 8)
        for batch in range(21):
            queue.push(cells[3 * batch : 3 * batch + 3])
            assert (queue.rank(centred=True) is None) == (batch < 5)  # 16 cells for 8 channels
        assert queue.rank(centred=False) == pytest.approx(rank_me(cells[:63], centred=False))

    def test_an_empty_queue_has_no_rank(self) -> None:
        assert FeatureQueue(8).rank(centred=True) is None


class TestAlarm:
    def test_it_tells_collapsed_from_healthy(self) -> None:
        alarm = CollapseAlarm(minimum_std=0.1, minimum_rank_share=0.2)
        healthy = {"context_std_occupied": 0.125, "target_std_occupied": 0.125, "rank_centred": 40.0}
        channels = {"context": 64, "target": 64}
        assert alarm.reasons(healthy, channels) == []
        assert alarm.reasons(healthy | {"rank_centred": 15.0}, channels) == []
        assert "rank centred fell from 40 to 7" in alarm.reasons(healthy | {"rank_centred": 7.0}, channels)[0]
        assert "std of target" in alarm.reasons(healthy | {"target_std_occupied": 0.012}, channels)[0]

    def test_what_could_not_be_measured_does_not_ring(self) -> None:
        assert CollapseAlarm().reasons({"context_std_occupied": None, "rank_centred": None}, {"context": 64}) == []


class TestProbe:
    def test_average_precision_by_hand(self) -> None:
        scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
        positive = torch.tensor([True, False, True, False])
        assert average_precision(scores, positive) == pytest.approx((1 + 2 / 3) / 2)

    def test_equal_scores_are_chance(self) -> None:
        for order in (True, False):
            positive = torch.tensor([order, not order, not order, not order])
            assert average_precision(torch.zeros(4), positive) == pytest.approx(float(positive.float().mean()))

    @given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
    def test_it_is_the_area_under_the_steps_of_precision_over_recall(self, cells: list[tuple[int, bool]]) -> None:
        scores, positive = torch.tensor([float(s) for s, _ in cells]), torch.tensor([p for _, p in cells])
        if positive.all() or not positive.any():
            return
        area, recalled = 0.0, 0.0
        for threshold in sorted(set(scores.tolist()), reverse=True):
            chosen = positive[scores >= threshold].double()
            recall = float(chosen.sum() / positive.sum())
            area, recalled = area + (recall - recalled) * float(chosen.mean()), recall
        assert average_precision(scores, positive) == pytest.approx(area, abs=1e-12)

    def test_a_score_that_is_nan_has_no_score(self) -> None:
        assert average_precision(torch.tensor([0.5, float("nan")]), torch.tensor([True, False])) is None

    def test_all_alike_has_no_score(self) -> None:
        assert average_precision(torch.rand(3), torch.ones(3, dtype=torch.bool)) is None
        assert average_precision(torch.zeros(0), torch.zeros(0, dtype=torch.bool)) is None

    def test_it_learns_what_is_linear_in_the_features_and_scores_before_it_learns(self) -> None:
        probe = OccupancyProbe(8)
        scores = []
        for step in range(5):
            features = gaussian(400, 8, step)
            scores.append(probe.learn(1e-3 * features + 100, features[:, 2] > 1.0))
        assert scores[0] is not None and scores[0] < 0.25  # chance is .16
        assert scores[-1] is not None and scores[-1] > 0.99

    def test_it_stays_at_chance_where_there_is_nothing_to_learn(self) -> None:
        probe = OccupancyProbe(8)
        scores = [probe.learn(gaussian(400, 8, step), gaussian(400, 1, 100 + step)[:, 0] > 0) for step in range(20)]
        assert sum(score for score in scores if score) / 20 == pytest.approx(0.5, abs=0.03)

    def test_it_follows_an_encoder_that_changes(self) -> None:
        probe = OccupancyProbe(8)
        for step in range(100):
            features = gaussian(400, 8, step)
            score = probe.learn(features, features[:, 0] * (1 if step < 50 else -1) > 0)
        assert score is not None and score > 0.99

    def test_it_is_the_least_squares_solution(self) -> None:
        features, answers = gaussian(50, 3), gaussian(50, 1, 7)[:, 0] > 0
        probe = OccupancyProbe(3, ridge=1e-9)
        probe.learn(features, answers)
        design = torch.cat((features, torch.ones(50, 1)), 1).double()
        expected = torch.linalg.lstsq(design, answers.double()[:, None]).solution[:3, 0]
        new = gaussian(20, 3, 9)
        assert average_precision(new.double() @ expected, new[:, 0] > 0) == probe.learn(new, new[:, 0] > 0)

    def test_no_gradient_reaches_the_features(self) -> None:
        features = gaussian(10, 8).requires_grad_()
        OccupancyProbe(8).learn(features, torch.arange(10) > 4)
        assert features.grad is None

    def test_a_batch_without_hidden_cells_changes_nothing(self) -> None:
        probe = OccupancyProbe(4)
        assert probe.learn(torch.zeros(0, 4), torch.zeros(0, dtype=torch.bool)) is None
        assert not probe.sums.any()
