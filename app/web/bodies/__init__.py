"""Reading requests: strict JSON, uploads, bounds, and where in them a fault is."""
