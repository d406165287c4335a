"""The short list shared among real workers of joblib's back-ends, merged to what one would find."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("joblib")

import split_networks as nets  # noqa: E402

import lwfc  # noqa: E402
import lwfc.torch as lt  # noqa: E402

OPTIONS = {"few": 2, "shortlist": 2, "profiles": "rans", "baselines": False}


def compare(backend):
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3), torch.nn.Flatten()
    )
    x = nets.images(8)
    shared = lt.explore(model, x, shards=2, backend=backend, **OPTIONS)
    rows = [row for row in shared.rows if row["pass"] == "exact"]
    assert len(rows) == 2 and shared.about["complete"]
    alone = lt.explore(model, x, layers=[row["cut"] for row in rows], **OPTIONS)
    names = ("cut", "coded_bytes", "loss", "settings")
    key = lambda row: row["cut"]  # noqa: E731
    assert [[row[name] for name in names] for row in sorted(rows, key=key)] == [
        [row[name] for name in names] for row in sorted(alone.rows, key=key)
    ]


def test_loky():
    compare("loky")


def test_dask():
    distributed = pytest.importorskip("distributed")
    with pytest.raises(lwfc.ParameterError, match="Client"):
        compare("dask")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as here, distributed.Client(here):
        compare("dask")


def test_ray():
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        compare("ray")
    finally:
        ray.shutdown()


def test_other_back_ends_are_refused():
    with pytest.raises(lwfc.ParameterError, match="'loky', 'dask', 'ray'"):
        compare("threads")
