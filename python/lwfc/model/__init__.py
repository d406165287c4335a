"""The paper's mathematics: moments, activation models, clipping ranges, quantizer designs."""
