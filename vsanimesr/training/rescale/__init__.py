"""The pairs that train a learnable basic operator (the paper, section 3.1)."""
