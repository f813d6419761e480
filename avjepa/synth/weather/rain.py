"""How hard it rains, and what that means for every sensor.

The numbers have the right order of magnitude (extinction of a LiDAR: Goodin et al., "Predicting the Influence of Rain
on LIDAR in ADAS", 2019) and are no model of a particular sensor. They are there to be harder to see through, by level.
"""

from dataclasses import dataclass

LEVELS = 3


@dataclass(frozen=True)
class Rain:
    """One level of rain.

    Attributes:
        extinction: of a LiDAR's light, share lost per metre on one way.
        scatter: share of a LiDAR's beams that a drop in front of it answers.
        mirrored: share of a LiDAR's points near the vehicle that are also seen mirrored in the wet road.
        spray: LiDAR points in the spray behind a vehicle at 10 m/s, 10 m away.
        ghosts: share of a radar's targets that are also received after two bounces.
        clutter: false targets of a radar cycle, in the mean.
        interference: chance that another radar disturbs a cycle.
        drops: on a lens, in the mean.
        veil: share of an image's contrast that is lost.
        noise: standard deviation of what is added to an image, of 255.
        glare: how much of bright places spills over their surroundings.
    """

    extinction: float
    scatter: float
    mirrored: float
    spray: float
    ghosts: float
    clutter: float
    interference: float
    drops: float
    veil: float
    noise: float
    glare: float


DRY_GHOSTS, DRY_CLUTTER = 0.04, 9.0
"""Of a radar without rain."""

_RAIN = (
    Rain(0.003, 0.005, 0.01, 25.0, 0.07, 13.0, 0.03, 3.0, 0.10, 2.0, 0.3),
    Rain(0.007, 0.02, 0.03, 60.0, 0.11, 20.0, 0.10, 8.0, 0.22, 4.0, 0.6),
    Rain(0.012, 0.05, 0.06, 120.0, 0.16, 30.0, 0.25, 16.0, 0.35, 7.0, 1.0),
)


def rain_of(level: int) -> Rain | None:
    """From 1, light, to ``LEVELS``, heavy; ``None`` for 0, dry."""
    return _RAIN[level - 1] if level else None
