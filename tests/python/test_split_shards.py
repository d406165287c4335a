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


def test_a_failing_shard_loses_only_what_it_has_not_finished(tmp_path):
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 3),
              torch.nn.ReLU(), torch.nn.Flatten()]  # fmt: skip
    model, x, broken = torch.nn.Sequential(*layers), nets.images(8), tmp_path / "broken"
    broken.touch()

    def metric(net):
        if broken.exists() and getattr(net, "edge", None) is not None and net.edge.cut.name == "1":
            raise OSError("labels are gone")
        return 1.0

    options = OPTIONS | {"layers": ["0", "1", "2"], "shortlist": 3, "shards": 2}
    options["log"] = tmp_path / "log.jsonl"
    with pytest.warns(RuntimeWarning, match="labels are gone.*same log"):
        found = lt.explore(model, x, metric, **options)
    passes = {row["cut"]: row["pass"] for row in found.rows}
    assert passes["1"] == "estimate" and "exact" in passes.values()
    assert len(found.rows) == 3 and not found.about["complete"]
    broken.unlink()
    again = lt.explore(model, x, metric, **options)
    assert {row["pass"] for row in again.rows} == {"exact"} and again.about["complete"]
    assert [row for row in found.rows if row["pass"] == "exact"] == [
        row for row in again.rows if passes[row["cut"]] == "exact"
    ]


def test_other_back_ends_are_refused():
    with pytest.raises(lwfc.ParameterError, match="'loky', 'dask', 'ray'"):
        compare("threads")
