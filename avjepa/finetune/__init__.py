"""Backbone to task: strict weight transfer and the training of heads."""
