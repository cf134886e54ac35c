"""Degradations: the basic operators, the learnt one, and what old material suffered."""
