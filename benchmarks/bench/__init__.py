"""Speed benchmarks: data sets, peers, timing and the suites that ``benchmarks/run.py`` runs."""
