"""Official detection scores."""

from avjepa.callable_room import make_callable

make_callable(__name__)
