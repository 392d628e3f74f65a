"""The bodies of requests and answers, named like the resources."""
