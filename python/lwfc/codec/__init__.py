"""The codec as a value, its streams, and the pipeline's single stages as ufuncs."""
