"""What the user chooses about a dataset. Light to import: the process that only hands out scenes needs no more."""

from dataclasses import dataclass

KEYFRAME_INTERVAL = 0.5
"""Seconds between keyframes: 2 Hz, as nuScenes."""


@dataclass(frozen=True)
class Settings:
    """What determines the bytes of a dataset."""

    scenes: int
    seed: int
    keyframes: int
    image_width: int
    sweep_rate: float
    camera_sweeps: bool
    val_fraction: float
    test_fraction: float
    rain: int = 0
    """From 0, dry, to 3, heavy."""

    @property
    def sweeps_per_keyframe(self) -> int:
        """LiDAR sweeps from one keyframe to the next, the keyframe's own included."""
        return max(1, round(self.sweep_rate * KEYFRAME_INTERVAL))


def scene_name(index: int) -> str:
    """Name of a scene; unlike any name in the real nuScenes splits."""
    return f"synth-{index:04d}"
