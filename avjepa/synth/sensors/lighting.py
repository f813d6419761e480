"""The light of a scene: sun, sky, haze, exposure."""

from dataclasses import dataclass

import numpy as np

from avjepa.synth.arrays import FloatArray


@dataclass(frozen=True)
class Lighting:
    """Linear radiances; a white surface in full sun comes to about 1."""

    kind: str
    towards_sun: FloatArray
    """(3,), unit vector."""
    sun: FloatArray
    """(3,), colour times strength."""
    ambient: FloatArray
    """(3,), light from the sky."""
    zenith: FloatArray
    """(3,), colour of the sky overhead."""
    horizon: FloatArray
    """(3,)."""
    visibility: float
    """Distance in metres at which haze takes 63 % of the contrast."""
    exposure: float
    noise: float
    """Standard deviation of the read noise, relative to white."""
    lamps: float
    """Brightness of lamps and lit windows."""
    clouds: float
    """Share of the sky that is covered."""


def choose_lighting(rng: np.random.Generator) -> Lighting:
    """Clear, overcast, low sun or dusk."""
    kind = str(rng.choice(["clear", "overcast", "low sun", "dusk"], p=[0.42, 0.28, 0.2, 0.1]))
    azimuth = rng.uniform(0, 2 * np.pi)
    elevation = {
        "clear": rng.uniform(0.6, 1.2),
        "overcast": rng.uniform(0.6, 1.2),
        "low sun": rng.uniform(0.18, 0.4),
        "dusk": 0.1,
    }[kind]
    sun = {
        "clear": (1.0, 0.95, 0.86),
        "overcast": (0.10, 0.10, 0.10),
        "low sun": (0.95, 0.68, 0.42),
        "dusk": (0.02, 0.02, 0.03),
    }[kind]
    ambient = {
        "clear": (0.30, 0.35, 0.44),
        "overcast": (0.50, 0.52, 0.55),
        "low sun": (0.26, 0.28, 0.36),
        "dusk": (0.07, 0.08, 0.13),
    }[kind]
    zenith = {
        "clear": (0.13, 0.27, 0.60),
        "overcast": (0.50, 0.53, 0.57),
        "low sun": (0.20, 0.30, 0.52),
        "dusk": (0.04, 0.06, 0.14),
    }[kind]
    horizon = {
        "clear": (0.55, 0.68, 0.85),
        "overcast": (0.66, 0.68, 0.70),
        "low sun": (0.85, 0.66, 0.45),
        "dusk": (0.22, 0.17, 0.18),
    }[kind]
    direction = (np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation))
    tint = rng.uniform(0.92, 1.08, 3)
    return Lighting(
        kind,
        np.array(direction, np.float32),
        np.array(sun * tint, np.float32),
        np.array(ambient * tint, np.float32),
        np.array(zenith, np.float32),
        np.array(horizon, np.float32),
        float(rng.uniform(250, 900)),
        float(rng.uniform(0.8, 1.35) * (2.2 if kind == "dusk" else 1.0)),
        float(rng.uniform(0.004, 0.012) * (2.5 if kind == "dusk" else 1.0)),
        1.0 if kind == "dusk" else 0.35,
        {"clear": rng.uniform(0, 0.5), "overcast": 1.0, "low sun": rng.uniform(0.1, 0.6), "dusk": 0.5}[kind],
    )
