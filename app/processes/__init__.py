"""The processes that serve one data directory: their parent, and what each of them gets from it."""
