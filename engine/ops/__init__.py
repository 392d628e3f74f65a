"""Pure functions on arrays, a forward and a backward side by side.

Every op keeps its input's dtype and never writes to its inputs. Images are (N, H, W, C).
`buffers` says where results live; left out, each call allocates.
"""
