"""Argoverse 2 Sensor, read as it is downloaded (https://argoverse.github.io/user-guide/datasets/sensor.html)."""
