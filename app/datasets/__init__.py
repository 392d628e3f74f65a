"""Labelled pictures: how they are read, split, stored and handed to training."""
