"""The columns of a radar file, as they are read."""

RADAR_FILE_FIELDS = (
    "x", "y", "z", "dyn_prop", "id", "rcs", "vx", "vy", "vx_comp", "vy_comp", "is_quality_valid", "ambig_state",
    "x_rms", "y_rms", "invalid_state", "pdh0", "vx_rms", "vy_rms",
)  # fmt: skip
"""Position (m, x front, y left) and velocities (m/s) in the sensor frame, states as codes; those of nuScenes."""
