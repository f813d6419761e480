"""BEV map -> boxes."""
