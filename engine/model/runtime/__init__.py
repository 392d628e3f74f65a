"""Libraries that compute predictions in our stead."""
