"""Measures of pictures and films: against the truth, without it, and over time."""
