"""Sensor files -> arrays and tensors."""
