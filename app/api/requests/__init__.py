"""The bodies of requests, named like the resources; they refuse keys that they do not know."""
