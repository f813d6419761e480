"""Datasets in the nuScenes schema: tables -> sorted arrays."""
