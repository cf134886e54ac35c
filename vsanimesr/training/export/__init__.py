"""A trained model written for use."""
