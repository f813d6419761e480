"""Official detection scores."""
