"""When measures of collapse are bad enough to say so."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from avjepa.errors import UserError


class CollapseError(UserError):
    """Pre-training collapsed and was asked to stop when it does."""


@dataclass
class CollapseAlarm:
    """Rings when the spread of occupied cells is too small or an effective rank has fallen too far.

    Args:
        minimum_std: of context and target embeddings, as a share of the healthy 1/√channels.
        minimum_rank_share: of the highest rank seen so far.
        highest_rank: by name; part of a run's state.
    """

    minimum_std: float = 0.1
    minimum_rank_share: float = 0.1
    highest_rank: dict[str, float] = field(default_factory=dict)

    def reasons(self, measures: Mapping[str, float | None], channels: Mapping[str, int]) -> list[str]:
        """What is wrong, in words; empty when all is well. A measure that is ``None`` or absent says nothing.

        Args:
            measures: ``collapse_measures`` and ``rank_centred``, ``rank_uncentred``.
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
        return found
