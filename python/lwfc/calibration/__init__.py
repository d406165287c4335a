"""From samples to codecs: samples, statistics, fits, one-shot coding, tuning."""
