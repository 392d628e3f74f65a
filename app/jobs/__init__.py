"""Jobs: work that outlives a request, done by a process of its own.

`kinds` has a record for each kind of job, `runner` decides which runs when and again, a `launcher` starts and stops
attempts, here or, by that of `cluster`, on Ray, `heartbeat` is how an attempt shows that it is alive and learns that it
should stop. `accept` makes jobs of requests, `work` does them.
"""
