"""A perception model: backbone, neck, heads."""
