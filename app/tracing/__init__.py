"""Traces for OpenTelemetry: spans of requests and of attempts of jobs.

What makes and sends them is not imported unless the environment names a receiver.
"""
