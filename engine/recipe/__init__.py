"""How a network is trained, as records: loss, optimizer, schedule, and the rest of the configuration."""
