"""Weights that other libraries trained, laid over our presets."""
