"""Sensor data -> BEV map on the shared token grid."""
