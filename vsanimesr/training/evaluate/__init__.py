"""The networks to compare, the comparison, and its report."""
