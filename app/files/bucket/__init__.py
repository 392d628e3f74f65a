"""Artifacts in an object store (S3), read through a cache on this machine."""
