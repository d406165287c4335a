"""Studies of rate against what a task loses; see ``benchmarks/rate_accuracy.py``."""
