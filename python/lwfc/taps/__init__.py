"""What every framework's hooks share: the pass through a codec on the host, and its report."""
