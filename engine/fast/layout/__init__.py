"""Where arrays lie and how they are cut."""
