"""Boxes of objects that nobody annotated, from LiDAR sweeps alone."""

from avjepa.callable_room import make_callable

make_callable(__name__)
