"""Trained models: their files and predictions with them."""
