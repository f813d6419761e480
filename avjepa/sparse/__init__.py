"""Sparse tensors and convolutions: one parameter layout, spconv on CUDA, an exact path on the CPU."""
