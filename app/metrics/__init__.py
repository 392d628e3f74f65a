"""Metrics for Prometheus: what there is (`families`), how it is counted, and how it is written when somebody asks.

Counting is adding to numbers in memory, and is done by all processes; see `app.processes.series`. What is in rows is
counted when it is asked for, by the process that answers.
"""
