"""Shapes and materials of things that move."""
