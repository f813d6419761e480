"""``avjepa synth``."""

from collections.abc import Sequence
from pathlib import Path

from avjepa.commands.parsing import run_function
from avjepa.errors import UserError


def synth(
    out: Path,
    scenes: int,
    seed: int = 0,
    keyframes: int = 20,
    image_width: int = 400,
    sweep_rate: float = 10.0,
    camera_sweeps: bool = False,
    val_fraction: float = 0.2,
    test_fraction: float = 0.0,
    rain: int = 0,
    workers: int = 2,
) -> None:
    """Make a synthetic street world and write it as a nuScenes dataset, version v1.0-synth.

    An interrupted run continues when the same command is given again.

    Args:
        out: the dataset's root folder.
        scenes: number of scenes.
        seed: the world is a function of it, byte for byte.
        keyframes: keyframes per scene, two a second.
        image_width: width of the camera images in pixels; the height is 9/16 of it.
        sweep_rate: LiDAR and radar sweeps per second, keyframes included; 0 for keyframes alone.
        camera_sweeps: also write camera images between the keyframes.
        val_fraction: share of the scenes that goes to the split "val".
        test_fraction: share of the scenes that goes to the split "test".
        rain: from 0, dry, to 3, heavy: the same streets and traffic, worse to see.
        workers: parallel processes.
    """
    from avjepa.synth.dataset.generate import synthesise

    if scenes < 1:
        raise UserError(f"--scenes {scenes}: at least one scene is needed")
    synthesise(
        out, scenes, seed, keyframes=keyframes, image_width=image_width, sweep_rate=sweep_rate,
        camera_sweeps=camera_sweeps, val_fraction=val_fraction, test_fraction=test_fraction, rain=rain,
        workers=workers,
    )  # fmt: skip


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("synth", synth, arguments)
