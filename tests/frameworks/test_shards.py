"""lwfc.torch.explore shared among workers of real local clusters of dask and ray."""

import pytest

torch = pytest.importorskip("torch")
distributed = pytest.importorskip("distributed")
ray = pytest.importorskip("ray")
pytest.importorskip("joblib")

import lwfc  # noqa: E402
import lwfc.torch as lt  # noqa: E402

OPTIONS = {"few": 2, "shortlist": 2, "profiles": "rans", "baselines": False}
NAMES = ("cut", "pass", "coded_bytes", "loss", "settings")


@pytest.fixture(scope="module")
def case():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3), torch.nn.Flatten()
    )
    return model, torch.rand(8, 3, 16, 16)


def rows(result):
    return sorted([str(row[name]) for name in NAMES] for row in result.rows)


def compare(case, backend):
    """Two workers find what one process finds; one that fails costs nothing of the other's."""
    model, x = case
    shared = lt.explore(model, x, shards=2, backend=backend, **OPTIONS)
    exact = [row["cut"] for row in shared.rows if row["pass"] == "exact"]
    assert len(exact) == 2 and shared.about["complete"]
    alone = lt.explore(model, x, layers=exact, **OPTIONS)
    assert rows(alone) == [row for row in rows(shared) if row[1] == "exact"]

    def metric(net):
        if getattr(net, "edge", None) is not None and net.edge.cut.name == exact[0]:
            raise OSError("labels are gone")
        return 1.0

    with pytest.warns(RuntimeWarning, match="labels are gone"):
        half = lt.explore(model, x, metric, layers=exact, shards=2, backend=backend, **OPTIONS)
    assert {row["cut"]: row["pass"] for row in half.rows} == {
        exact[0]: "estimate", exact[1]: "exact"
    }  # fmt: skip


def test_dask(case):
    with pytest.raises(lwfc.ParameterError, match="Client"):
        lt.explore(*case, shards=2, backend="dask", **OPTIONS)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
    ):
        compare(case, "dask")


def test_ray(case):
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        compare(case, "ray")
    finally:
        ray.shutdown()
