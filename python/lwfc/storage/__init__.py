"""lwfc in array stores: numcodecs (``storage.numcodecs``) and zarr v3 (``storage.zarr``).

Both are found by entry points, so stores open without importing lwfc first.
"""
