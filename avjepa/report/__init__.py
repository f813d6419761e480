"""Pictures of scenes, plots, one HTML page a run."""
