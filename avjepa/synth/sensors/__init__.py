"""Ray-cast LiDAR, radar and cameras."""
