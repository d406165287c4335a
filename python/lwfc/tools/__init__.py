"""What people run: the command line, the demo and its plots, progress bars, tensor files."""
