"""Kernels: one layer, or a few fused ones, on arrays."""
