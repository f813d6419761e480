"""Label-free objectives over any sensor encoder, and their training loop."""

from avjepa.callable_room import make_callable

make_callable(__name__)
