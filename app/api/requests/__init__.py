"""The bodies of requests, named like the resources; unknown keys are refused."""
