"""All keyframes of a scene as an animation, and as a recording."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from avjepa.commands.drawn_keyframes import DrawnKeyframes
from avjepa.data.sample import Sample
from avjepa.progress import with_bar
from avjepa.report.animation import write_animation
from avjepa.report.bev import Detections
from avjepa.report.recording import MapOfFrame, RecordedFrame, require_rerun, write_recording


def play(drawn: DrawnKeyframes, scene: str, gif: Path | None, rerun: Path | None, bundle: str | None) -> None:
    """Write what is asked for, and print the names of the files.

    Args:
        drawn: reads the keyframes.
        scene: its name.
        gif: the animation.
        rerun: the recording.
        bundle: of the backbone whose maps are recorded.

    Raises:
        UserError: rerun-sdk is not installed, or the bundle cannot be used.
        BadFileError: a sensor file cannot be read.
    """
    if rerun is not None:
        require_rerun()
    moments = drawn.dataset.moments([scene], keyframes_only=True).tolist()
    classes = drawn.dataset.taxonomy.classes

    def keyframes(title: str) -> Iterator[tuple[Sample, Detections | None]]:
        for moment in with_bar(moments, title):
            sample = drawn.sample(moment)
            yield sample, drawn.detections(sample)[0]

    if gif is not None:
        write_animation(gif, keyframes(f"drawing {scene}"), classes, drawn.note)
        print(gif)
    if rerun is not None:
        maps: Sequence[MapOfFrame | None] = [None] * len(moments)
        if bundle is not None:
            from avjepa.commands.bundle_maps import maps_of  # imports networks

            maps = maps_of(bundle, drawn.dataset, moments)
        pairs = zip(keyframes(f"recording {scene}"), maps, strict=True)
        frames = (RecordedFrame(sample, detections, shown) for (sample, detections), shown in pairs)
        write_recording(rerun, frames, classes)
        print(rerun)
