"""What everything above the files needs to know of a data set; nuScenes is one implementation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.channels import SensorChannels
from avjepa.data.labels import Labels
from avjepa.data.map_mask import MapMask
from avjepa.data.reading import MomentReader
from avjepa.data.sensor_inputs import Sensor
from avjepa.data.taxonomy import Taxonomy


@dataclass(frozen=True)
class BoxSummary:
    """The boxes of some moments in columns, those of categories without a class included."""

    item: Int64[Array, "box"]
    """Position of a box's moment among the moments that were asked for; ascending."""
    number: Int64[Array, "box"]
    """Place of the box among the moment's ``Labels``; -1 for a category without a class, which they do not hold."""
    class_index: Int64[Array, "box"]
    """Index into the taxonomy's classes; -1 for a category of none."""
    category: Int64[Array, "box"]
    """Index into ``categories``."""
    categories: tuple[str, ...]
    """The data set's own names of what is in a box."""
    lidar_points: Int64[Array, "box"]
    """As in ``Labels``, but -1 also where they would have to be counted."""
    radar_points: Int64[Array, "box"]
    """As ``lidar_points``."""

    def with_points(self) -> Bool[Array, "box"]:
        """Which boxes hold a LiDAR or radar point, or may: where nobody knows, they count."""
        result: Array = (self.lidar_points != 0) | (self.radar_points != 0)
        return result


@dataclass(frozen=True)
class AnnotatedKeyframes:
    """All that is annotated in some keyframes, in the global frame: what predictions are scored against."""

    tokens: tuple[str, ...]
    """Every keyframe, whether a sensor recorded anything of it or not, in order of scene and time."""
    time: Int64[Array, "keyframe"]
    """When it was (microseconds)."""
    scene: Int64[Array, "keyframe"]
    """Index into ``scenes``."""
    scenes: tuple[str, ...]
    """Names of the scenes."""
    vehicle: Float64[Array, "keyframe 2"]
    """Where the ego vehicle is at the reference time (m); NaN where nobody knows."""
    keyframe: Int64[Array, "box"]
    """Position of a box's keyframe in ``tokens``."""
    boxes: Float64[Array, "box 9"]
    """Centre, length, width, height (m), yaw (rad) and velocity (m/s), the last NaN where it is unknown."""
    class_index: Int64[Array, "box"]
    """Index into the taxonomy's classes; -1 for a category of none."""
    category: Int64[Array, "box"]
    """Index into ``categories``."""
    categories: tuple[str, ...]
    """The data set's own names of what is in a box."""
    attribute: Int64[Array, "box"]
    """Index into ``attributes``; -1 for a box without one."""
    attributes: tuple[str, ...] | None
    """Names of the attributes; ``None`` where the data set does not know any."""
    lidar_points: Int64[Array, "box"]
    """Number of LiDAR points in a box as it was annotated; -1 where nobody counted."""
    radar_points: Int64[Array, "box"]
    """As ``lidar_points``."""
    visibility: Int64[Array, "box"]
    """As in ``Labels``."""
    track: Int64[Array, "box"]
    """As ``Labels.track_ids``; ``DrivingDataset.track_name`` names it."""


@runtime_checkable
class DrivingDataset(MomentReader, Protocol):
    """Scenes of driving: moments in order of scene and time, numbered from 0, which samples are made from.

    Some moments are keyframes, which have labels. It is sent to loading processes, so it has to be small when pickled.
    """

    @property
    def name(self) -> str:
        """How a message calls the data set."""

    @property
    def dataroot(self) -> Path:
        """The folder that it was opened from."""

    @property
    def version(self) -> str:
        """The part of the folder that it is."""

    @property
    def channels(self) -> SensorChannels:
        """Which channels are read, and as what."""

    @property
    def recorded_channels(self) -> tuple[str, ...]:
        """All channels there are."""

    @property
    def taxonomy(self) -> Taxonomy:
        """The classes of the boxes."""

    @property
    def scene_names(self) -> tuple[str, ...]:
        """Names of all scenes."""

    def scenes_of(self, split: str | None) -> list[str]:
        """Names of the scenes of a split, of all scenes for ``None``.

        Raises:
            UserError: there is no such split, or it is empty; names those there are.
        """

    def scene_descriptions(self) -> dict[str, str]:
        """What the data set says in words of each scene, by name; empty where it says nothing."""

    def fingerprint(self) -> str:
        """SHA-256 of moments, times, poses, calibrations and files: which data a result is from."""

    def label_fingerprint(self) -> str:
        """SHA-256 of all labels."""

    def __len__(self) -> int:
        """Number of moments."""

    def moments(self, scenes: list[str] | None = None, keyframes_only: bool = False) -> Int64[Array, "chosen"]:
        """Numbers of the moments in some scenes (all for ``None``), in order of scene and time."""

    def unrecorded(self, scenes: list[str]) -> tuple[str, ...]:
        """Names of the keyframes of some scenes that are no moments, because no channel recorded anything of them."""

    def keyframe_tokens(self, scenes: list[str]) -> tuple[str, ...]:
        """Names of all keyframes of some scenes, the unrecorded ones included, in order of scene and time."""

    def recorded(self, sensor: Sensor) -> Bool[Array, "moment"]:
        """Which moments have data of a sensor."""

    def token_of(self, moment: int) -> str:
        """A name of the moment that no other one has."""

    def scene_of(self, moment: int) -> str:
        """Name of the moment's scene."""

    def time_of(self, moment: int) -> int:
        """Reference time in microseconds."""

    def global_from_level(self, moment: int) -> Float64[Tensor, "4 4"]:
        """Pose of the moment's level frame in the world. Opens no sensor file."""

    def map_mask(self, scene: str) -> MapMask:
        """Where a scene was recorded, the ground that can be driven on.

        Raises:
            UserError: there is no such map, or it cannot be read.
        """

    def has_labels(self) -> bool:
        """Whether there are annotations at all."""

    def labels(self, moment: int) -> Labels:
        """The boxes of the taxonomy's classes at a keyframe, in its BEV frame.

        Numbers of points that the data set does not know are counted in the moment's clouds.

        Raises:
            BadFileError: a cloud in which points have to be counted cannot be read.
            UserError: the annotations are missing or broken.
        """

    def boxes(self, moments: Int64[Array, "item"]) -> BoxSummary:
        """The boxes of some keyframes without their geometry. Opens no sensor file."""

    def annotated_keyframes(self, scenes: list[str]) -> AnnotatedKeyframes:
        """All keyframes and boxes of some scenes, for scoring. Opens no sensor file.

        Raises:
            UserError: the annotations are missing or broken.
        """

    def unfit_for_devkit(self, split: str) -> str:
        """Why nuscenes-devkit cannot score a split by itself; empty if nothing is known against it."""

    def track_name(self, track_id: int) -> str:
        """The data set's own name of an object, by its ``Labels.track_ids``."""
