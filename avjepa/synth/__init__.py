"""A procedural street world, ray-cast into a dataset in nuScenes format."""
