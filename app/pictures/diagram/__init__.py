"""Diagrams of networks: a layered layout in frames, after Sugiyama."""
