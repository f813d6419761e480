"""When measures of collapse are bad enough to say so."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from avjepa.errors import UserError
from avjepa.pretrain.monitoring.position_code import OTHER, OWN

_PREDICTED = 0.5
"""Cosine from which on a target counts as predicted: before, there is nothing to be suspicious of."""


class CollapseError(UserError):
    """Pre-training collapsed and was asked to stop when it does."""


@dataclass
class CollapseAlarm:
    """Rings when the spread of occupied cells is too small, an effective rank has fallen too far, or the target is a
    code of the position.

    Args:
        minimum_std: of context and target embeddings, as a share of the healthy 1/√channels.
        minimum_rank_share: of the highest rank seen so far.
        minimum_position_margin: by which predictions have to be nearer to their own target than to that of another
            sample in the same cell, as a share of the cosine with their own.
        highest_rank: by name; part of a run's state.
    """

    minimum_std: float = 0.1
    minimum_rank_share: float = 0.1
    minimum_position_margin: float = 0.1
    highest_rank: dict[str, float] = field(default_factory=dict)

    def reasons(self, measures: Mapping[str, float | None], channels: Mapping[str, int]) -> list[str]:
        """What is wrong, in words; empty when all is well. A measure that is ``None`` or absent says nothing.

        Args:
            measures: ``collapse_measures``, ``rank_centred``, ``rank_uncentred``, and those of ``PositionCode``.
            channels: of each role, ``context`` and ``target``.
        """
        found = []
        for role, count in channels.items():
            std = measures.get(f"{role}_std_occupied")
            healthy = 1 / math.sqrt(count)
            if std is not None and std < self.minimum_std * healthy:
                found.append(f"std of {role} embeddings is {std:.2g}, healthy is about {healthy:.2g}")
        for name in ("rank_centred", "rank_uncentred"):
            rank = measures.get(name)
            if rank is not None:
                highest = self.highest_rank[name] = max(rank, self.highest_rank.get(name, 0.0))
                if rank < self.minimum_rank_share * highest:
                    found.append(f"{name.replace('_', ' ')} fell from {highest:.3g} to {rank:.3g}")
        own, other = measures.get(OWN), measures.get(OTHER)
        known = own is not None and other is not None and own > _PREDICTED
        if known and own - other < self.minimum_position_margin * own:  # type: ignore[operator]
            found.append(
                f"predictions are as near to the target of another sample in the same cell (cosine {other:.2f}) as to "
                f"their own ({own:.2f}): the target says where a cell is and not what lies there"
            )
        return found
