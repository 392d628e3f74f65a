"""What picture files say of themselves, read before any decoder sees them: a file for each format."""
