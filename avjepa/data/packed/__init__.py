"""A cache of moments: what trainings read of a data set, in a few large files."""
