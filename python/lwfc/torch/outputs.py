"""What a model puts out, flattened to the float tensors that count, and how far two differ."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ..base.errors import ParameterError
from ..calibration.scores import upper_bound

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
        shares = []
        for path, parts in self._errors(outputs).items():
            sums = sum(float(part.sum()) for part in parts)
            shares.append(sums / sum(map(self._count, parts)) / self._unit(path))
        return _mean(shares)

    def bound(self, outputs: list[Any]) -> float:
        """The upper confidence bound of :meth:`compare`, from how much samples differ in it."""
        bounds = []
        for path, parts in self._errors(outputs).items():
            each = torch.cat([_of_samples(part, self.kind) for part in parts]) / self._unit(path)
            error = float(each.std()) / math.sqrt(len(each)) if len(each) > 1 else 0.0
            bounds.append(upper_bound(float(each.mean()), error))
        return _mean(bounds)

    def _errors(self, outputs: list[Any]) -> dict[tuple[Any, ...], list[Tensor]]:
        """What each number of the outputs adds, batch by batch.

        Errors: ParameterError where nothing can be compared.
        """
        errors: dict[tuple[Any, ...], list[Tensor]] = {}
        for reference, output in zip(self._references, outputs, strict=True):
            found = dict(flatten(output))
            for path, before in reference.items():
                after = found.get(path)
                if after is None or after.shape != before.shape or not self._unit(path) > 0:
                    continue
                after = after.detach().double().cpu()
                if self.kind == "kl":
                    p, q = before.log_softmax(1), after.log_softmax(1)
                    error = p.exp() * (p - q)
                else:
                    error = (after - before).square()
                errors.setdefault(path, []).append(error)
        if not errors:
            raise ParameterError(
                "no output keeps its shape from run to run, so distortion cannot be measured: map "
                "the outputs to tensors of fixed shape with outputs=, or give step="
            )
        return errors

    def _unit(self, path: tuple[Any, ...]) -> float:
        return 1.0 if self.kind == "kl" else self._variances[path]

    def _count(self, errors: Tensor) -> int:
        return len(errors) if self.kind == "kl" else errors.numel()


def _of_samples(errors: Tensor, kind: str) -> Tensor:
    """One number a sample; of outputs that have none, one in all."""
    rows = errors.flatten(1) if errors.ndim > 1 else errors.reshape(-1, 1)
    return rows.sum(1) if kind == "kl" else rows.mean(1)


def _mean(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return mean if math.isfinite(mean) else math.inf


def _decides(logits: Tensor) -> bool:
    """Whether these are logits of a classifier rather than, say, an embedding."""
    log = logits.log_softmax(1)
    entropy = -(log.exp() * log).sum(1).mean()
    return bool(entropy < SURE * math.log(logits.shape[1]))
