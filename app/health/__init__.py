"""Whether a serving process can do its work: its disk, its database and what runs the jobs."""
