"""Gradients of random projections of a model's outputs with respect to one layer's output."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..base.errors import CalibrationWarning, ParameterError
from ..base.threads import blas_limit
from ..base.warn import warn_caller
from ..calibration.pairs import Pairs
from ..calibration.samples import Batches
from ..calibration.transforming import TransformOptions
from .features import evaluating
from .layers import Select, pick, replace
from .masks import Mask, unpadded
from .names import one_layer
from .outputs import Outputs, flatten

__all__ = ["DRAWS", "Projections", "random_signs", "untouched"]

DRAWS = 2  # projections of each sample: one costs 2 to 3 % of the rate, more bring nothing
SEED = 14


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, parameters without gradients; all put back, hooks' graphs not kept."""
    flags = [(p, p.requires_grad) for p in model.parameters() if not p.is_inference()]
    with evaluating(model), torch.inference_mode(False), torch.enable_grad():
        try:
            for parameter, _ in flags:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter, flag in flags:
                parameter.requires_grad_(flag)


class Projections:
    """Runs a model on batches; gives the layer's output and what an error of it does.

    For outputs o and r of +-1 with equal chance, E over r of g g^T is J^T J, g the gradient of
    r . o and J the outputs' Jacobian: no labels are needed. ``missing`` says, after a batch, why
    there are no gradients; features come all the same.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        select: Select,
        forward: Callable[[nn.Module, Any], Any],
        outputs: Outputs,
        mask: Mask | None,
    ) -> None:
        self._model, self._layer, self._select = model, layer, select
        self._forward, self._outputs, self._mask = forward, outputs, mask
        self._weights: dict[tuple[Any, ...], float] | None = None
        self._generator = torch.Generator().manual_seed(SEED)
        self.missing: str | None = None

    def run(self, batch: Any) -> Iterator[Tensor]:
        """float32 (n, 1 + DRAWS, ...) on the CPU for each call of the layer.

        The layer's output, then its gradients; without gradients (n, 1, ...). Padding is left
        out. Errors: ParameterError if the layer does not run.
        """
        leaves: list[Tensor] = []

        def tap(module: nn.Module, inputs: Any, output: Any) -> Any:
            x = pick(output, self._select)
            if x.is_nested:
                raise ParameterError(
                    f"layer {self._layer!r} gives nested tensors, which a transform does not take: "
                    "feed it padded batches, with mask="
                )
            leaf = x.detach().clone().requires_grad_(True)
            leaves.append(leaf)
            # A copy: what follows may work in place, which a leaf does not allow.
            return replace(output, self._select, leaf.clone())

        with untouched(self._model), torch.set_grad_enabled(not self._lacking()):
            handle = one_layer(self._model, self._layer).register_forward_hook(tap)
            try:
                output = self._forward(self._model, batch)
                if not leaves:
                    raise ParameterError(
                        f"the model does not run its layer {self._layer!r} on this input"
                    )
                empty = not any(leaf.numel() for leaf in leaves)
                draws = [] if self.missing or empty else self._gradients(output, leaves)
            finally:
                handle.remove()
        if empty:
            return
        mask = None if self._mask is None else self._mask(batch)
        for call, leaf in enumerate(leaves):
            parts = [leaf.detach(), *(draw[call] for draw in draws)]
            stacked = torch.stack([part.float().cpu() for part in parts], dim=-1)
            for x in unpadded(stacked, mask):
                yield x.movedim(-1, 1)

    @contextlib.contextmanager
    def opened(
        self, stacked: Iterator[np.ndarray], wishes: TransformOptions
    ) -> Iterator[tuple[Batches, Pairs]]:
        """What :meth:`run` gave, to be fitted: its batches, and each as features and gradients.

        Says so where there are no gradients, and what is done instead.
        """
        opening = Batches(stacked, wishes.progress, batched=True)
        with opening as batches, blas_limit(wishes.num_threads):
            pairs = Pairs(batches, None, wishes.channel_axis, stacked=True)
            if self.missing:
                warn_caller(
                    f"{self.missing}: errors are weighted by frequency alone, which takes more "
                    "bits for the same outputs",
                    CalibrationWarning,
                )
            yield batches, pairs

    def _lacking(self) -> str | None:
        """``missing``, known before the model has run where its own tensors tell."""
        tensors = (*self._model.parameters(), *self._model.buffers())
        if self.missing is None and any(t.is_inference() for t in tensors):
            self.missing = (
                "the model was made in torch.inference_mode, and no gradient passes its tensors "
                "(copy.deepcopy(model), called outside, is free of that)"
            )
        return self.missing

    def _gradients(self, output: Any, leaves: list[Tensor]) -> list[list[Tensor]]:
        """Of each draw, the gradients of each call; empty, and ``missing`` says why."""
        if self._outputs is not None:
            output = self._outputs(output)
        found = {path: t for path, t in flatten(output) if t.requires_grad}
        if not found:
            self.missing = "no output of the model depends on the layer by a differentiable path"
            return []
        if self._weights is None:
            several = len(found) > 1
            self._weights = {path: _weight(t) if several else 1.0 for path, t in found.items()}
        draws = []
        try:
            for draw in range(DRAWS):
                total = sum(self._projected(path, tensor) for path, tensor in found.items())
                gradients = torch.autograd.grad(
                    total, leaves, retain_graph=draw + 1 < DRAWS, allow_unused=True
                )
                if all(gradient is None for gradient in gradients):
                    self.missing = "the model's outputs do not depend on the layer"
                    return []
                draws.append(
                    [
                        torch.zeros_like(leaf) if gradient is None else gradient
                        for leaf, gradient in zip(leaves, gradients, strict=True)
                    ]
                )
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.missing = f"the second half does not differentiate ({error})"
            return []
        return draws

    def _projected(self, path: tuple[Any, ...], tensor: Tensor) -> Tensor:
        weight = self._weights.get(path)
        if weight is None:  # an output that the first batch did not have
            weight = self._weights[path] = _weight(tensor)
        x = tensor.float()
        return (x * random_signs(x, self._generator)).sum() * weight


def random_signs(x: Tensor, generator: torch.Generator) -> Tensor:
    """1 or -1 for each element of x, drawn on the CPU: the same on every device."""
    return (torch.randint(0, 2, x.shape, generator=generator) * 2 - 1).to(x)


def _weight(tensor: Tensor) -> float:
    """One over an output's standard deviation; 0 where it is constant."""
    deviation = float(tensor.detach().double().std(correction=0))
    return 1 / deviation if deviation > 0 else 0.0
