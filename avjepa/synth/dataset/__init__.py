"""From a world to a dataset in nuScenes format."""
