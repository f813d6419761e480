"""BEV map -> task."""
