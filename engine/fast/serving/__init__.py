"""Plans for predictions."""
