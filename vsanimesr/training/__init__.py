"""The trainer of the paper: its data, degradations, losses and loops."""
