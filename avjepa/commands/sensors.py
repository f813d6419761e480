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
    """Raise unless a backbone reads one of the sensors that are loaded; none are for one that keeps its maps.

    Args:
        backbone: a network.
        loaded: the sensors.
        option: that names them.

    Raises:
        UserError: naming the option and what is missing there.
    """
    if loaded and not sensors_of_network(backbone, loaded):
        reads = ", ".join(backbone.sensors_read())
        raise UserError(
            f"{option}: {', '.join(loaded)}, of which {type(backbone).__name__} reads none; add {reads}, or choose "
            "another encoder"
        )


def require_some(readable: Sequence[Sensor], option: str) -> None:
    """Raise where a run's network reads no sensor, but maps that a backbone made before.

    Raises:
        UserError: naming the option that chooses among sensors.
    """
    if not readable:
        raise UserError(f"{option}: the network of this run reads no sensor; give a run whose data.sensors names some")


def chosen_sensors(given: str, readable: Sequence[Sensor]) -> tuple[Sensor, ...]:
    """``lidar,radar`` as names, in the order in which a run loads them.

    Args:
        given: behind ``--sensors``.
        readable: the sensors that the run's network reads.

    Raises:
        UserError: one of them is none of those, or is named twice; or there is nothing to choose of.
    """
    require_some(readable, "--sensors")
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
