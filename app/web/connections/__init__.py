"""Connections of callers: taken, read, bounded in number and in time."""
