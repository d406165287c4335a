"""Fits the context coder's model and writes it as integers."""
