"""Writing answers: problems, event streams, and which form the caller wants."""
