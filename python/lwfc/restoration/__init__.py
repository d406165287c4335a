"""Fits the restoration's weights and writes them as integers."""
