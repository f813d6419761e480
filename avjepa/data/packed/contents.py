"""What a cache holds of every moment."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from avjepa.data.files.images import ImageTransform
from avjepa.data.files.radar import RadarFilter
from avjepa.data.moment import all_offsets
from avjepa.data.sensor_inputs import SensorInputs
from avjepa.errors import UserError


@dataclass(frozen=True)
class PackedContents:
    """Sweeps by their offset from the reference sweep, see ``SweepSelection.offsets``, and one size of images.

    Args:
        lidar: LiDAR sweeps; ``None`` for no LiDAR.
        radar: sweeps of every radar; ``None`` for no radar.
        radar_filter: which returns were kept; ``None`` for no radar.
        camera: how images were resized; ``None`` for no camera.
    """

    lidar: tuple[int, ...] | None
    radar: tuple[int, ...] | None
    radar_filter: RadarFilter | None
    camera: ImageTransform | None

    @classmethod
    def of(cls, inputs: Sequence[SensorInputs]) -> "PackedContents":
        """All that some inputs need.

        Raises:
            UserError: they need two sizes of images or two filters of radar returns.
        """
        lidar = [own.lidar for own in inputs if own.lidar is not None]
        radar = [own.radar for own in inputs if own.radar is not None]
        filters = list(dict.fromkeys(own.keep for own in radar))
        cameras = list(dict.fromkeys(own.camera for own in inputs if own.camera is not None))
        if len(filters) > 1 or len(cameras) > 1:
            raise UserError("a cache holds images of one size and radar returns of one filter; make one cache for each")
        return cls(
            all_offsets(lidar) if lidar else None,
            all_offsets(radar) if radar else None,
            filters[0] if filters else None,
            cameras[0] if cameras else None,
        )

    def lacking(self, inputs: SensorInputs) -> str | None:
        """What of some inputs is not there, in words."""
        for name, selection, packed in (("lidar", inputs.lidar, self.lidar), ("radar", inputs.radar, self.radar)):
            if selection is not None and (missing := set(selection.offsets()) - set(packed or ())):
                return f"{name} sweeps {sorted(missing)} (0 is the moment's own)" if packed else name
        if inputs.radar is not None and inputs.radar.keep != self.radar_filter:
            return "radar returns of this radar_filter"
        if inputs.camera is not None and inputs.camera != self.camera:
            return f"images of {inputs.camera.height} x {inputs.camera.width}"
        return None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "PackedContents":
        """What ``as_json`` gave. Raises ``ValueError`` or another error of Python for anything else."""
        keep, camera = content["radar_filter"], content["camera"]
        states = {name: None if codes is None else tuple(map(int, codes)) for name, codes in (keep or {}).items()}
        return cls(
            None if content["lidar"] is None else tuple(map(int, content["lidar"])),
            None if content["radar"] is None else tuple(map(int, content["radar"])),
            None if keep is None else RadarFilter(**states),
            None if camera is None else ImageTransform(int(camera["height"]), int(camera["width"])),
        )
