"""Files of the data directory, locks on them, and the memory of the machine."""
