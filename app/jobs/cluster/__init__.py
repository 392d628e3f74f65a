"""Jobs on a Ray cluster: an attempt is a Ray job, which Ray's REST interface starts, and our worker on a node of it."""
