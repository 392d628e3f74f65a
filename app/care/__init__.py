"""Looks after an installation: whether it is whole, its backups and upgrades; beside a server and without one."""
