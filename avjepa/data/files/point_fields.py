"""The columns of point tensors, as the point files are read into them."""

LIDAR_FIELDS = ("x", "y", "z", "intensity", "time_lag", "ring")
"""LiDAR point: position in the BEV frame (m), intensity in [0, 1] (nuScenes stores 0-255), age of the point's sweep
relative to the reference time (s; 0 for the reference sweep, positive for earlier sweeps), beam index."""

RADAR_FIELDS = (
    "x", "y", "z", "time_lag", "rcs", "vx_comp", "vy_comp", "dyn_prop", "is_quality_valid", "ambig_state",
    "x_rms", "y_rms", "invalid_state", "pdh0", "vx_rms", "vy_rms",
)  # fmt: skip
"""Radar return: position (m) and ego-motion-compensated velocity (m/s) in the BEV frame, age (s), radar cross-section
(dB m²), and the state fields of the sensor as they are stored (nuScenes radar documentation)."""

FIELDS = {"lidar": LIDAR_FIELDS, "radar": RADAR_FIELDS}
"""Those of each sensor that gives points."""
