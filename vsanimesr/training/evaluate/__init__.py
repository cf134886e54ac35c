"""Measures of upscaled video, the networks to compare, and the report of it all."""
