"""A study of a toy network, and a codec whose bytes and errors are easy to tell."""

import numpy as np
from common import features

from lwfc.evaluation.study import Study

__all__ = ["Rounder", "make_study", "tail"]


class Rounder:
    """16-bit multiples of a step."""

    def __init__(self, study, step):
        self.step, self.inner = step, study.x("calibration").shape[1:]

    def encode(self, x):
        return np.rint(x / self.step).astype(np.int16).tobytes()

    def decode(self, data):
        return np.frombuffer(data, np.int16).reshape(-1, *self.inner) * np.float32(self.step)


def tail(x):
    return x.mean((2, 3))


def make_study(name="toy", **about):
    x = features((120, 6, 8, 8))
    x += 2 * np.random.default_rng(3).random((120, 6, 1, 1), np.float32)
    parts = {"calibration": x[:40], "tune": x[40:80], "test": x[80:]}
    labels = {split: tail(parts[split]).argmax(1) for split in ("tune", "test")}
    return Study(name, parts, tail, labels=labels, **about)
