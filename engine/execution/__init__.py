"""The interface between training and whatever runs a batch."""
