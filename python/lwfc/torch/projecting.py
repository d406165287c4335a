"""What errors of the tensors at a cut do to a cloud half's outputs."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from .gradients import DRAWS, random_signs
from .halves import Cloud

__all__ = ["gradients_of"]


def gradients_of(cloud: Cloud, tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray] | None:
    """Gradients of random projections of the outputs, float32 (samples, draws, ...) by name.

    Outputs count by their squared error, as the explorer measures it. None where no gradient
    arrives; those of a tensor that only some outputs see are zero elsewhere.
    """
    leaves = {n: x.detach().clone() for n, x in tensors.items()}
    wanted = [n for n, x in leaves.items() if x.is_floating_point()]
    for name in wanted:
        leaves[name].requires_grad_(True)
    generator = torch.Generator().manual_seed(0)
    draws: list[tuple[Tensor | None, ...]] = []
    with torch.inference_mode(False), torch.enable_grad():
        try:
            # Copies: a graph may write into what it is given, which leaves do not allow.
            found = cloud.body(*(x.clone() for x in cloud.tensors(leaves).values()))
            outputs = [y for y in found if isinstance(y, Tensor) and y.requires_grad]
            for draw in range(DRAWS if outputs and wanted else 0):
                draws.append(
                    torch.autograd.grad(
                        sum((y * random_signs(y, generator)).sum() for y in outputs),
                        [leaves[name] for name in wanted],
                        retain_graph=draw + 1 < DRAWS,
                        allow_unused=True,
                    )
                )
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # some operation behind the cut does not differentiate
            return None
    if not any(gradient is not None for draw in draws for gradient in draw):
        return None
    gradients = {}
    for i, name in enumerate(wanted):
        parts = [torch.zeros_like(leaves[name]) if d[i] is None else d[i] for d in draws]
        gradients[name] = torch.stack(parts, 1).float().cpu().numpy()
    return gradients
