"""Backbone to task: strict weight transfer and the training of heads."""

from avjepa.callable_room import make_callable

make_callable(__name__)
