"""A network in NumPy alone, for the explorer's engine: convolution-like stages of rising cost."""

import numpy as np

from lwfc.split import Cut, LiveTensor, Survey


class Toy:
    """relu(x A), relu(. B) + skip, logits: two cuts of one tensor, one of two tensors."""

    name, way, macs = "toy", "numpy", 300

    def __init__(self, batches=4, size=6, fail_at=None):
        rng = np.random.default_rng(0)
        self.a, self.b = rng.normal(0, 0.3, (3, 16)), rng.normal(0, 0.3, (16, 16))
        self.c = rng.normal(0, 0.1, (16, 5))
        self.batches = [rng.random((size, 3, 12, 12)).astype(np.float32) for _ in range(batches)]
        self.fingerprint = f"toy {batches} {size}"
        one = LiveTensor("one", (None, 16, 12, 12), "float32")
        two = LiveTensor("two", (None, 16, 12, 12), "float32")
        mask = LiveTensor("mask", (None, 4), "bool")
        self.cuts = [
            Cut("one", ("one",), (one, mask), (100, 200)),
            Cut("both", ("one", "two"), (one, two), (200, 100)),
            Cut("two", ("two",), (two,), (250, 50)),
        ]
        self.opened, self.fail_at = [], fail_at

    def size(self, batch):
        return len(batch)

    def first(self, batch):
        return batch[:1]

    def image(self, batch):
        return batch

    def with_image(self, batch, image):
        return image

    def stages(self, x):
        one = np.maximum(np.einsum("nchw,cd->ndhw", x, self.a), 0).astype(np.float32)
        two = np.maximum(np.einsum("nchw,cd->ndhw", one, self.b), 0).astype(np.float32)
        return {"one": one, "two": two, "mask": x[:, 0, 0, :4] > 0.5}

    def behind(self, cut, tensors):
        one = tensors.get("one")
        two = tensors["two"] if "two" in tensors else np.maximum(
            np.einsum("nchw,cd->ndhw", one, self.b), 0)  # fmt: skip
        return [two.mean((2, 3)) @ self.c * 10]

    def whole(self, batch):
        return self.behind(None, self.stages(batch))

    def open(self, cut):
        if len(self.opened) == self.fail_at:
            raise KeyboardInterrupt
        self.opened.append(cut.name)
        return Halves(self, cut)

    def survey(self, cuts, samples, progress, clock):
        found = self.stages(np.concatenate(self.batches)[:samples])
        times = dict(zip([cut.name for cut in cuts], (1.0, 2.0, 2.5), strict=True))
        return Survey(3.0, times, found, dict.fromkeys(found, 1e-3))

    def evaluate(self, metric, opened, code):
        code = code or (lambda x: x)
        if opened is None:
            return metric(lambda batch: self.whole(code(batch)))
        return metric(lambda batch: opened.tail(code(opened.head(batch))))


class Halves:
    def __init__(self, network, cut):
        self.network, self.cut = network, cut

    def head(self, batch):
        found = self.network.stages(batch)
        return {tensor.name: found[tensor.name] for tensor in self.cut.tensors}

    def tail(self, tensors):
        return self.network.behind(self.cut, tensors)

    def gradients(self, tensors):
        return None
