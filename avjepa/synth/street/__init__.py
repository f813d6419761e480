"""Roads, buildings and what stands beside them."""
