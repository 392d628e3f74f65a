"""The service: HTTP on top of the store, the artifacts, the jobs and the engine."""
