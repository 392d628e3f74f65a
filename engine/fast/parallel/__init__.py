"""Running a batch in shares, by threads or processes."""
