"""What a fresh server holds besides the data set: an architecture, a finished job and its model."""
