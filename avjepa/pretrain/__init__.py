"""Label-free objectives over any sensor encoder, and their training loop."""
