"""Which moments make up which batch."""
