"""Experiments that show what the building blocks of convolutional networks are for; run one with python -m."""
