"""The transform profile's fit: blocks, statistics, channel matrices, tables, choices."""
