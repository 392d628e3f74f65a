"""From a request to a complete job."""
