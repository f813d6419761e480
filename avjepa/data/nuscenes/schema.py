"""The columns of point tensors and the names of sensors, as nuScenes has them."""

LIDAR_FIELDS = ("x", "y", "z", "intensity", "time_lag", "ring")
"""LiDAR point: position in the BEV frame (m), intensity in [0, 1] (nuScenes stores 0-255), age of the point's sweep
relative to the reference time (s; 0 for the reference sweep, positive for earlier sweeps), beam index."""

RADAR_FIELDS = (
    "x", "y", "z", "time_lag", "rcs", "vx_comp", "vy_comp", "dyn_prop", "is_quality_valid", "ambig_state",
    "x_rms", "y_rms", "invalid_state", "pdh0", "vx_rms", "vy_rms",
)  # fmt: skip
"""Radar return: position (m) and ego-motion-compensated velocity (m/s) in the BEV frame, age (s), radar cross-section
(dB m²), and the state fields of the sensor as they are stored (nuScenes radar documentation)."""

LIDAR_CHANNEL = "LIDAR_TOP"
CAMERA_CHANNELS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
RADAR_CHANNELS = ("RADAR_FRONT", "RADAR_FRONT_LEFT", "RADAR_FRONT_RIGHT", "RADAR_BACK_LEFT", "RADAR_BACK_RIGHT")
