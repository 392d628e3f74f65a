"""One script for each client; none of them imports anything of ours but what all of them share."""
