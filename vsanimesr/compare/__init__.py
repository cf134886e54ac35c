"""Compares ways to enlarge a clip: pictures to switch between, strips over time, measures."""
