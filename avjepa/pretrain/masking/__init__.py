"""Which cells are masked."""
