"""Single layers and blocks, computed for numbers that somebody sends: no request, no server."""
