"""Halves and exploration of networks whose runtime takes and gives NumPy arrays."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..base.errors import ParameterError
from ..base.journal import fingerprint
from .cuts import Cut, LiveTensor
from .dataflow import Dataflow, Run
from .estimate import Survey
from .exact import timed
from .losses import Loss, spread
from .wire import Wire

__all__ = ["ArrayNetwork", "Cloud", "Edge", "batches_of", "describe", "named", "one_by_one"]

BATCH = 50  # samples of a bare array that run at once
# Scale and zero point of a tensor by its name, where it is quantized.
Affine = Callable[[str], tuple[float, int] | None]
NUDGE = 1e-3  # of a tensor's standard deviation: the error whose effect on the outputs is looked at


def never(name: str) -> None:
    """No tensor has a scale."""


def batches_of(data: Any) -> Iterable[Any]:
    """Batches of inputs: parts of one array, a mapping of arrays as it is, else what is given."""
    if hasattr(data, "shape") and hasattr(data, "dtype"):
        return (data[i : i + BATCH] for i in range(0, len(data), BATCH))
    if isinstance(data, (str, bytes)) or not np.iterable(data):
        raise ParameterError(f"data is a {type(data).__name__}: pass an array, or batches")
    return (data,) if isinstance(data, Mapping) else data


def one_by_one(run: Run, bare: Collection[str]) -> Run:
    """``run`` for networks that take one sample only: samples run by themselves, and are joined.

    ``bare``: tensors whose first axis does not count samples, scalars among them; they are stacked
    along one that does.
    """

    def one(name: str, x: Any, i: int) -> Any:
        return np.asarray(x[i]) if name in bare else x[i : i + 1]

    def looped(feeds: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        count = len(next(iter(feeds.values())))
        parts = [run({n: one(n, x, i) for n, x in feeds.items()}, names) for i in range(count)]
        return {
            name: (np.stack if name in bare else np.concatenate)([part[name] for part in parts])
            for name in names
        }

    return looped


def named(x: Any, names: Sequence[str]) -> dict[str, Any]:
    """Inputs by name, of a mapping, or of one array where there is one input."""
    if isinstance(x, Mapping):
        missing = [name for name in names if name not in x]
        if missing:
            raise ParameterError(
                f"input {missing[0]!r} is missing; the network takes {list(names)}"
            )
        return {name: np.asarray(x[name]) for name in names}
    if isinstance(x, (tuple, list)) and len(names) > 1 and len(x) == len(names):
        return dict(zip(names, map(np.asarray, x), strict=True))
    if len(names) != 1:
        raise ParameterError(f"the network takes {list(names)}: give a mapping of these to arrays")
    return {names[0]: np.asarray(x)}


def describe(
    flow: Dataflow, one: Mapping[str, Any], two: Mapping[str, Any], affine: Affine = never
) -> dict[str, LiveTensor]:
    """Every tensor seen in runs of one and of two samples; an axis that doubled counts samples."""
    found = {}
    for name, x in one.items():
        shape = tuple(
            None if (a, b) == (1, 2) else b for a, b in zip(x.shape, two[name].shape, strict=True)
        )
        found[name] = LiveTensor(name, shape, x.dtype.name, name in flow.inputs, affine(name))
    return found


class Edge:
    """The device's half. Called with the network's inputs, it gives bytes where it has codecs,
    else the tensors that cross, by name.
    """

    def __init__(self, run: Run, inputs: Sequence[str], cut: Cut, wire: Wire | None) -> None:
        self._run, self.inputs, self.cut, self.wire = run, tuple(inputs), cut, wire

    def tensors(self, x: Any) -> dict[str, Any]:
        """The tensors that cross, by name, as they are."""
        feeds = named(x, self.inputs)
        names = [tensor.name for tensor in self.cut.tensors]
        found = self._run(feeds, [name for name in names if name not in feeds])
        return {name: feeds[name] if name in feeds else found[name] for name in names}

    def __call__(self, x: Any) -> Any:
        found = self.tensors(x)
        return found if self.wire is None else self.wire.encode(found)

    def __repr__(self) -> str:
        return _half_repr(self)


class Cloud:
    """The server's half. Called with what the edge gave, it gives the network's outputs, one
    array, or a dict by name where there are several.

    Bytes are checked against the cut before anything is decoded. Errors: FormatError.
    """

    def __init__(self, run: Run, outputs: Sequence[str], cut: Cut, wire: Wire | None) -> None:
        self._run, self.outputs, self.cut, self.wire = run, tuple(outputs), cut, wire

    def tensors(self, data: Any) -> dict[str, Any]:
        """The tensors in what the edge gave, by name."""
        names = [tensor.name for tensor in self.cut.tensors]
        if isinstance(data, Mapping):
            return named(data, names)
        if self.wire is None:
            raise ParameterError(
                f"a {type(data).__name__}: this half has no codecs and takes tensors {names}"
            )
        decoded = self.wire.decode(data).items()
        return {name: _bfloat16(x) if narrow else x for name, (x, narrow) in decoded}

    def __call__(self, data: Any) -> Any:
        known = self.tensors(data)
        found = known | self._run(known, [name for name in self.outputs if name not in known])
        if len(self.outputs) == 1:
            return found[self.outputs[0]]
        return {name: found[name] for name in self.outputs}

    def __repr__(self) -> str:
        return _half_repr(self)


def _bfloat16(bits: np.ndarray) -> np.ndarray:
    import ml_dtypes  # a network that has such tensors has brought it along

    return bits.view(ml_dtypes.bfloat16)


def _half_repr(half: Edge | Cloud) -> str:
    crossing = ", ".join(map(str, half.cut.tensors))
    return f"<{type(half).__name__} at {half.cut.name!r}: {crossing} as {half.wire or 'tensors'}>"


class ArrayNetwork:
    """What the explorer needs of a network that ``run`` can run between any of its tensors.

    ``batches``: inputs by name, axis 0 counts samples. Sensitivities are looked at by nudging each
    tensor, since such runtimes have no gradients.
    """

    macs = None

    def __init__(
        self,
        name: str,
        way: str,
        flow: Dataflow,
        run: Run,
        batches: Sequence[Any],
        weights: bytes = b"",
        affine: Affine = never,
    ) -> None:
        self.name, self.way, self.flow, self.run = name, way, flow, run
        self.batches = _at_least_two([named(batch, flow.inputs) for batch in batches])
        self._chosen = flow.cuts()
        crossing = list(dict.fromkeys(n for _, names in self._chosen for n in names))
        one = self.first(self.batches[0])
        two = {n: np.concatenate([x, x]) for n, x in one.items()}
        seen = describe(flow, run(one, crossing), run(two, crossing), affine) if crossing else {}
        self.cuts = [
            Cut(cut, (cut,), tuple(seen[n] for n in names))
            for cut, names in self._chosen
            if any(seen[n].coded for n in names)
        ]
        samples = b"".join(x.tobytes() for batch in self.batches for x in batch.values())
        steps = [[step.name, step.inputs, step.outputs] for step in flow.steps]
        self.fingerprint = fingerprint(name, steps, weights, samples)

    def size(self, batch: Mapping[str, Any]) -> int:
        return len(next(iter(batch.values())))

    def first(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        return {name: x[:1] for name, x in batch.items()}

    def image(self, batch: Mapping[str, Any]) -> Any:
        """The one input, channels first."""
        if len(batch) != 1:
            return None
        (x,) = batch.values()
        return np.moveaxis(x, -1, 1) if _channels_last(x) else x

    def with_image(self, batch: Mapping[str, Any], image: Any) -> dict[str, Any]:
        ((name, x),) = batch.items()
        return {name: np.moveaxis(image, 1, -1) if _channels_last(x) else image}

    def _outputs(self, known: Mapping[str, Any]) -> list[np.ndarray]:
        found = dict(known) | self.run(known, [n for n in self.flow.outputs if n not in known])
        return [found[name] for name in self.flow.outputs]

    def whole(self, batch: Mapping[str, Any]) -> list[np.ndarray]:
        return self._outputs(batch)

    def open(self, cut: Cut) -> "_Opened":
        return _Opened(self, cut)

    def survey(
        self, cuts: Sequence[Cut], samples: int, progress: Any, clock: Callable[[], float]
    ) -> Survey:
        """One run for the features, one for each cut's time, one for each tensor's nudge."""
        few = {n: np.concatenate([b[n] for b in self.batches])[:samples] for n in self.flow.inputs}
        one = self.first(few)
        names = list(dict.fromkeys(t.name for cut in cuts for t in cut.tensors))
        features = self.run(few, names)
        outputs = self.whole(few)
        scale = spread(outputs)
        rng = np.random.default_rng(0)
        head_ms, gain = {}, dict.fromkeys(names)
        for done, cut in enumerate(cuts):
            opened = self.open(cut)
            head_ms[cut.name] = timed(lambda opened=opened: opened.head(one), clock, 1)
            known = {t.name: features[t.name] for t in cut.tensors}
            for tensor in cut.tensors:
                if tensor.coded and gain[tensor.name] is None and scale > 0:
                    x = known[tensor.name]
                    near = _nudged(x, rng)
                    noise = near.astype(np.float64) - x
                    moved = self._outputs(known | {tensor.name: near})
                    loss = Loss()
                    loss.add(moved, outputs)
                    mean = float(np.square(noise).mean())
                    gain[tensor.name] = loss.relative / mean if mean else None
            if progress is not None:
                progress(done + 1, len(cuts), "features")
        return Survey(timed(lambda: self.whole(one), clock, 1), head_ms, features, gain)

    def evaluate(self, metric: Callable, opened: Any, code: Callable | None) -> float:
        """``metric(predict)``, where ``predict(inputs)`` gives the outputs as the network does."""

        def predict(x: Any) -> Any:
            feeds = named(x, self.flow.inputs)
            if opened is None:
                image = self.image(feeds)
                whole = self.whole(self.with_image(feeds, code(image)) if code else feeds)
            else:
                found = opened.head(feeds)
                whole = opened.tail(code(found) if code else found)
            return whole[0] if len(whole) == 1 else dict(zip(self.flow.outputs, whole, strict=True))

        return float(metric(predict))


def _at_least_two(batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Batches to calibrate on and to measure on: a single one is halved."""
    if not batches:
        raise ParameterError("no samples to explore with")
    count = len(next(iter(batches[0].values())))
    if len(batches) > 1 or count < 2:
        return batches
    parts = slice(None, count // 2), slice(count // 2, None)
    return [{name: x[part] for name, x in batches[0].items()} for part in parts]


def _channels_last(x: Any) -> bool:
    return x.ndim == 4 and x.shape[-1] in (1, 3) and x.shape[1] not in (1, 3)


def _nudged(x: Any, rng: np.random.Generator) -> Any:
    """x with a small error: white noise, or a step up or down for integers."""
    if x.dtype.kind == "f":
        return x + rng.normal(0, NUDGE * (float(x.std()) or 1.0), x.shape).astype(x.dtype)
    ends = np.iinfo(x.dtype)
    steps = rng.integers(0, 2, x.shape) * 2 - 1
    return np.clip(x + steps, ends.min, ends.max).astype(x.dtype)


class _Opened:
    """The two halves at one cut, as the explorer runs them."""

    def __init__(self, network: ArrayNetwork, cut: Cut) -> None:
        self._network, self._names = network, [tensor.name for tensor in cut.tensors]

    def head(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        return self._network.run(batch, self._names)

    def tail(self, tensors: Mapping[str, Any]) -> list[np.ndarray]:
        return self._network._outputs({name: tensors[name] for name in self._names})

    def gradients(self, tensors: Mapping[str, Any]) -> None:
        """Such runtimes have none."""
