"""Data loaders' workers decode while the parent's OpenMP threads live."""

import multiprocessing

import numpy as np
import pytest
from common import features

import lwfc

torch = pytest.importorskip("torch")

X = features((9, 64, 56, 56))  # 9 blocks


class Stored(torch.utils.data.Dataset):
    """Streams that a worker decodes on two threads, and codes again."""

    def __init__(self, codec):
        self.codec = codec
        self.streams = [codec.encode(X, num_threads=2)] * 3

    def __len__(self):
        return len(self.streams)

    def __getitem__(self, i):
        x = self.codec.decode(self.streams[i], num_threads=2)
        assert self.codec.encode(x, num_threads=2) == lwfc.encode(x, lo=0, hi=2, levels=3)
        return x[:1]


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_of_every_start_method(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no start method {method!r} on this system")
    codec = lwfc.Codec([0.5, 1.5], [0, 1, 2])
    torch.rand(1 << 20).mul_(2).sum()  # torch's threads, where it has several
    loader = torch.utils.data.DataLoader(
        Stored(codec), batch_size=None, num_workers=1, timeout=300, multiprocessing_context=method
    )
    want = codec.simulate(X[:1])
    for y in loader:
        assert np.array_equal(y.numpy() if hasattr(y, "numpy") else y, want)
