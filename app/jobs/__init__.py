"""Jobs: work that outlives a request, done by a process of its own.

`states` says what can happen to a job, `runner` starts and stops the processes, `heartbeat` is how
a process tells that it is alive and learns that it should stop, `training` is one kind of work.
"""
