"""The bodies of answers, named like the resources, and in `requests` those of requests.

Types and nothing else. The server makes them of what it has stored, the client reads answers with them; so answers
here import neither the server nor the engine's arithmetic.
"""
