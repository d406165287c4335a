"""What every other room stands on: errors, argument checks, arrays, threads, tables."""
