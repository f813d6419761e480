"""The tokens of several sensors, of which each sample may have others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from avjepa.encoders.base import Tokens, per_sample
from avjepa.fusion.grid_link import GridLink
from avjepa.fusion.sensor_shares import kept_shares


@dataclass(frozen=True)
class FusedTokens(Tokens):
    """The tokens of every branch that a batch has data for."""

    tokens: Mapping[str, Tokens]
    """By sensor, each on the grid of its branch."""
    links: Mapping[str, GridLink]
    """From the branches' grids to the common one."""
    present: Mapping[str, Bool[Tensor, "batch"]]
    """Which samples have the sensor."""
    seeds: Int64[Tensor, "batch"]
    """Of every sample, on the CPU."""
    concentration: float
    """Of the draw of shares, see ``sensor_shares.kept_shares``."""

    @cached_property
    def observed(self) -> Bool[Tensor, "batch y x"]:  # type: ignore[override]
        """The cells that any of the sensors observed."""
        return torch.stack(
            [
                self.links[name].any_in_common(tokens.observed) & self.present[name][:, None, None]
                for name, tokens in self.tokens.items()
            ]
        ).any(0)

    def without(self, share: float | Sequence[float]) -> "FusedTokens":
        """See ``Tokens.without``. The share that is kept is spread over the sensors at random, so that a context may
        lack a whole sensor: what predicts the target from it has learned to do without."""
        dropped = per_sample(share, len(self.seeds))
        if max(dropped) == 0:
            return self
        sensors = len(self.tokens)
        draws = [
            kept_shares([seed], sensors, 1 - own, self.concentration)
            for seed, own in zip(self.seeds.tolist(), dropped, strict=True)
        ]
        kept = torch.from_numpy(np.concatenate(draws))
        tokens, present = {}, {}
        for (name, own_tokens), shares in zip(self.tokens.items(), kept.unbind(1), strict=True):
            tokens[name] = own_tokens.without((1 - shares).tolist())
            here = self.present[name]
            present[name] = here & (shares > 0).to(here.device, non_blocking=True)
        return replace(self, tokens=tokens, present=present)

    def recalling(self, seconds: float) -> "FusedTokens":
        """See ``Tokens.recalling``."""
        return replace(self, tokens={name: tokens.recalling(seconds) for name, tokens in self.tokens.items()})

    def realisable_mask(self, wanted: Bool[Tensor, "batch y x"]) -> Bool[Tensor, "batch y x"]:
        """See ``Tokens.realisable_mask``: each sensor in turn answers to what those before it can lose, and one that
        loses points can lose any cell; so sensors with pixels come first."""
        mask = wanted
        for name in sorted(self.tokens, key=lambda name: name != "camera"):
            link = self.links[name]
            own = self.tokens[name].realisable_mask(link.within(mask))
            mask = torch.where(self.present[name][:, None, None], link.any_in_common(own), mask)
        return mask
