"""What a model puts out, flattened to the float tensors that count, and how far two differ."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ..base.errors import ParameterError

__all__ = ["MEASURES", "Measure", "Outputs", "flatten"]

MEASURES = ("auto", "kl", "variance")
SURE = 0.75  # of the largest entropy: vectors whose softmax says less are no logits
Outputs = Callable[[Any], Any] | None


def flatten(output: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Tensor]]:
    """(path, tensor) of each floating-point tensor in nested containers and dataclasses.

    Complex tensors come as pairs of floats. Integers, text and None are passed over.
    """
    if isinstance(output, Tensor):
        if output.is_complex():
            yield path, torch.view_as_real(output)
        elif output.is_floating_point() and output.numel():
            yield path, output
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from flatten(value, (*path, key))
    elif isinstance(output, (tuple, list)):
        for index, value in enumerate(output):
            yield from flatten(value, (*path, index))
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        for field in dataclasses.fields(output):
            yield from flatten(getattr(output, field.name), (*path, field.name))


class Measure:
    """Distortion of a model's outputs, without labels, summed batch by batch.

    "kl": mean Kullback-Leibler divergence, in nats, of the softmax of one tensor of logits
    (samples, classes); "variance": mean squared error over variance, averaged over the tensors;
    "auto": the former for one 2-D output whose softmax is far from uniform, else the latter.
    """

    def __init__(self, kind: str = "auto") -> None:
        self.kind = kind
        self._references: list[dict[tuple[Any, ...], Tensor]] = []
        self._variances: dict[tuple[Any, ...], float] = {}

    def reference(self, output: Any) -> None:
        """Remember what one batch gives without a codec."""
        found = {path: t.detach().double().cpu() for path, t in flatten(output)}
        self._references.append(found)

    def settle(self) -> None:
        """Decide how to measure, after the last reference. Errors: ParameterError."""
        if not any(self._references):
            raise ParameterError(
                "the model puts out no float tensor, so distortion cannot be measured: pick one "
                "with outputs=, or give step= or target_bits="
            )
        paths = {path for found in self._references for path in found}
        for path in paths:
            tensors = [found[path].reshape(-1) for found in self._references if path in found]
            self._variances[path] = float(torch.cat(tensors).var(correction=0))
        logits = self._logits(paths)
        if self.kind == "auto":
            self.kind = "kl" if logits is not None and _decides(logits) else "variance"
        elif self.kind == "kl" and logits is None:
            raise ParameterError(
                'distortion_measure="kl" needs one output of shape (samples, classes): pick it '
                "with outputs="
            )

    def _logits(self, paths: set[tuple[Any, ...]]) -> Tensor | None:
        if len(paths) != 1:
            return None
        (path,) = paths
        tensors = [found[path] for found in self._references]
        wide = all(t.ndim == 2 and t.shape[1] > 1 for t in tensors)
        return torch.cat(tensors) if wide else None

    def compare(self, outputs: list[Any]) -> float:
        """The distortion of the same batches' outputs with a codec in place."""
        pairs = list(zip(self._references, (dict(flatten(o)) for o in outputs), strict=True))
        if self.kind == "kl":
            total, count = 0.0, 0
            for reference, found in pairs:
                for path, before in reference.items():
                    p = before.log_softmax(1)
                    q = found[path].detach().double().cpu().log_softmax(1)
                    total += float((p.exp() * (p - q)).sum())
                    count += len(p)
            return total / max(1, count)
        errors: dict[tuple[Any, ...], list[float]] = {}
        for reference, found in pairs:
            for path, before in reference.items():
                after = found.get(path)
                if after is None or after.shape != before.shape or not self._variances[path] > 0:
                    continue
                sums = errors.setdefault(path, [0.0, 0.0])
                sums[0] += float((after.detach().double().cpu() - before).square().sum())
                sums[1] += before.numel()
        if not errors:
            raise ParameterError(
                "no output keeps its shape from run to run, so distortion cannot be measured: map "
                "the outputs to tensors of fixed shape with outputs=, or give step="
            )
        shares = [e / n / self._variances[path] for path, (e, n) in errors.items()]
        mean = sum(shares) / len(shares)
        return mean if math.isfinite(mean) else math.inf


def _decides(logits: Tensor) -> bool:
    """Whether these are logits of a classifier rather than, say, an embedding."""
    log = logits.log_softmax(1)
    entropy = -(log.exp() * log).sum(1).mean()
    return bool(entropy < SURE * math.log(logits.shape[1]))
