"""The networks that are trained and those that judge."""
