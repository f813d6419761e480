"""A procedural street world, ray-cast into a dataset in nuScenes format."""

from avjepa.callable_room import make_callable

make_callable(__name__)
