"""The nodes of a training job over several: how they are started, here or on Ray, and find together."""
