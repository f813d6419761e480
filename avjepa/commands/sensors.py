"""Which of the sensors that a run loads its network reads, and which of those it is shown."""

from collections.abc import Sequence

from avjepa.data.sensor_inputs import Sensor
from avjepa.encoders.base import BEVBackbone
from avjepa.errors import UserError


def sensors_of_network(backbone: BEVBackbone, loaded: Sequence[Sensor]) -> tuple[Sensor, ...]:
    """The loaded sensors that a backbone reads, in their order: all of them, where it does not say."""
    reads = backbone.sensors_read()
    return tuple(sensor for sensor in loaded if not reads or sensor in reads)


def require_read(backbone: BEVBackbone, loaded: Sequence[Sensor], option: str) -> None:
    """Raise unless a backbone reads one of the sensors that are loaded.

    Args:
        backbone: a network.
        loaded: the sensors.
        option: that names them.

    Raises:
        UserError: naming the option and what is missing there.
    """
    if not sensors_of_network(backbone, loaded):
        reads = ", ".join(backbone.sensors_read())
        raise UserError(
            f"{option}: {', '.join(loaded)}, of which {type(backbone).__name__} reads none; add {reads}, or choose "
            "another encoder"
        )


def chosen_sensors(given: str, readable: Sequence[Sensor]) -> tuple[Sensor, ...]:
    """``lidar,radar`` as names, in the order in which a run loads them.

    Args:
        given: behind ``--sensors``.
        readable: the sensors that the run's network reads.

    Raises:
        UserError: one of them is none of those, or is named twice.
    """
    wanted = [name.strip() for name in given.split(",")]
    for place, name in enumerate(wanted):
        if name not in readable:
            raise UserError(
                f"--sensors {given}: {name!r} is no sensor of this run; choose of {', '.join(readable)}, as in "
                f"--sensors {','.join(readable[:2])}"
            )
        if name in wanted[:place]:
            raise UserError(f"--sensors {given}: names {name} twice; name every sensor once")
    return tuple(name for name in readable if name in wanted)
