"""What the studies of networks in PyTorch share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["kept", "run"]

BATCH = 100


def run(function: Callable[[Any], Any], x: Any, batch: int = BATCH) -> np.ndarray:
    """A network's output for an array or tensor, in batches, without gradients."""
    import torch

    parts = torch.as_tensor(x).split(batch)
    with torch.no_grad():
        return torch.cat([function(part) for part in parts]).numpy()


def kept(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """An array from a file of the cache, made if it is not there yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part.npy")
        np.save(partial, make())
        partial.rename(path)
    return np.load(path)
