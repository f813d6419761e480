"""Files -> samples -> batches: nuScenes tables, point files, splits, augmentation, datamodules."""
