"""The explorer's engine on a network of NumPy alone: latency, passes, journal, ways out."""

import json
import math

import numpy as np
import pytest
from toy_network import Toy

import lwfc
from lwfc.base.journal import Journal, fingerprint
from lwfc.split import Exploration, Link, explore, images, merge
from lwfc.split.cuts import Cut, LiveTensor
from lwfc.split.exact import first_allowed
from lwfc.split.link import latency
from lwfc.split.losses import Loss
from lwfc.split.profiles import choose_profiles, first_fine
from lwfc.split.wire import Wire


@pytest.fixture(scope="module")
def found():
    seen = []
    result = explore(Toy(), link=Link(8, 5), edge_speed=0.5, cloud_speed=4, max_loss=0.05, few=4,
                     shortlist=2, progress=lambda *step: seen.append(step))  # fmt: skip
    assert {what for _, _, what in seen} == {"estimates", "exact numbers"}
    return result


def test_latency_is_the_sum_of_its_parts():
    measured = {"head": 3.0, "encode": 1.0, "decode": 2.0, "tail": 8.0}
    times = latency(measured, 1000, Link(mbit_s=4, rtt_ms=7), edge_speed=0.5, cloud_speed=2)
    assert times == {"head_ms": 6.0, "encode_ms": 2.0, "transfer_ms": 2.0, "rtt_ms": 7.0,
                     "decode_ms": 1.0, "tail_ms": 4.0, "total_ms": 22.0}  # fmt: skip
    assert latency({"head": 3.0}, None, Link(4, 7))["total_ms"] == 3.0


@pytest.mark.parametrize(
    "wrong", [{"mbit_s": 0}, {"mbit_s": math.nan}, {"mbit_s": 1, "rtt_ms": -1}]
)
def test_links_that_cannot_be(wrong):
    with pytest.raises(lwfc.ParameterError, match="mbit_s|rtt_ms"):
        Link(**wrong)


@pytest.mark.parametrize("count", [1, 2, 7, 18])
def test_the_first_allowed_rung_is_found_from_any_start(count):
    for answer in range(count):
        for start in range(count):
            asked = []
            first_allowed(count, start, lambda r: asked.append(r) or r >= answer)  # noqa: B023
            assert first_allowed(count, start, lambda r: r >= answer) == answer  # noqa: B023
            assert len(asked) == len(set(asked)) and len(asked) <= 2 * count.bit_length() + 1
    assert first_allowed(count, 0, lambda r: False) == count - 1


@pytest.mark.parametrize("power", [0.7, 2, 3])
def test_the_first_fine_rung_is_found_from_any_start(power):
    ladder = (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 256)
    for answer, levels in enumerate(ladder):
        for start in range(-1, len(ladder) + 1):
            asked = []

            def loss(rung):
                asked.append(rung)  # noqa: B023
                return ladder[rung] ** -power

            assert first_fine(ladder, start, loss, levels**-power) == answer
            assert len(asked) == len(set(asked)) <= (4 if power == 2 else 9)
    assert first_fine(ladder, 3, lambda rung: math.inf, 0.1) == len(ladder) - 1
    assert first_fine(ladder, 3, lambda rung: 0.0, 0.0) == 0


def test_relative_loss_and_agreement():
    y = np.array([[0.0, 4.0], [4.0, 0.0]])
    loss = Loss()
    loss.add([y + [[1, 1], [0, 5]]], [y])
    assert loss.relative == (1 + 1 + 25) / 16 and loss.agreement == 0.5
    loss.add([y * np.nan], [y])
    assert loss.relative == math.inf


def test_rows_hold_what_is_promised(found):
    rows = {(row["cut"], row["profile"]): row for row in found.rows}
    assert len(rows) == 3 * 4 + 3 and found.about["complete"]
    exact = [row for row in found.rows if row["kind"] == "split" and row["pass"] == "exact"]
    assert len({row["cut"] for row in exact}) == 2
    for row in exact:
        assert row["loss"] <= 0.05
        assert row["settings"].get("levels", 2) >= 2 and row["settings"].get("step", 1) > 0
        assert row["total_ms"] == pytest.approx(sum(row[n] for n in (
            "head_ms", "encode_ms", "transfer_ms", "rtt_ms", "decode_ms", "tail_ms")))  # fmt: skip
        assert row["transfer_ms"] == pytest.approx(row["coded_bytes"] * 8 / 8e6 * 1e3)
    two = rows["two", "context"]
    assert two["raw_bytes"] == 4 * two["elements"] == 4 * 16 * 144
    assert two["bits_per_element"] == 8 * two["coded_bytes"] / two["elements"]
    assert rows["one", "paper"]["live"] == 2 and "mask bool(N, 4)" in rows["one", "paper"]["shape"]
    assert (two["head_macs"], two["tail_macs"]) == (250, 50)
    device = rows["output", ""]
    assert device["coded_bytes"] is None and device["rtt_ms"] == 0 == device["transfer_ms"]
    for kind in ("JPEG", "WebP"):
        row = rows["input", kind]
        assert row["loss"] <= 0.05 and row["coded_bytes"] > 10 and row["head_macs"] == 0
        assert row["tail_ms"] == pytest.approx(device["head_ms"] * 0.5 / 4)


def test_coded_bytes_are_those_of_streams(found):
    """The row again, by hand, from the cut's settings."""
    toy = Toy()
    row = next(r for r in found.rows if (r["cut"], r["profile"]) == ("two", "rans"))
    features = [toy.stages(batch)["two"] for batch in toy.batches]
    codec = lwfc.calibrate(features[:2], **row["settings"])
    sizes = [len(codec.encode(x[i : i + 1])) for x in features[2:] for i in range(len(x))]
    assert row["pass"] == "exact" and row["coded_bytes"] == np.mean(sizes)
    assert row["codec_bytes"] == len(codec.to_bytes())
    loss = Loss()
    for x, batch in zip(features[2:], toy.batches[2:], strict=True):
        loss.add(toy.behind(None, {"two": codec.simulate(x)}), toy.whole(batch))
    assert row["loss"] == pytest.approx(loss.relative)
    coarser = lwfc.calibrate(features[:2], **row["settings"] | {"levels": 2})
    assert codec.levels == 2 or coarser.levels < codec.levels


def test_another_link_runs_nothing_again(found):
    slow = found.through(Link(0.01, 0))
    assert [r["head_ms"] for r in slow.rows] == [r["head_ms"] for r in found.rows]
    assert slow.best["kind"] == "device"
    fast = found.through(Link(1e6, 0), edge_speed=1e-3, cloud_speed=1e3)
    assert fast.best["total_ms"] == min(row["total_ms"] for row in fast.rows if row["loss"] <= 0.05
                                        and row["pass"] == "exact")  # fmt: skip


def test_pareto_rows_beat_each_other_nowhere(found):
    front = [(row["coded_bytes"] or 0, row["head_ms"] + row["encode_ms"]) for row in found.pareto]
    assert front == sorted(front) and [b for _, b in front] == sorted((b for _, b in front))[::-1]


def test_interrupted_and_resumed(tmp_path, found):
    log = tmp_path / "log.jsonl"
    options = {"max_loss": 0.05, "few": 4, "shortlist": 2, "log": log}
    toy = Toy(fail_at=1)
    with pytest.warns(UserWarning, match="log="):
        part = explore(toy, **options)
    assert not part.about["complete"] and len(toy.opened) == 1
    with log.open("a") as file:
        file.write('{"mark": "cut o')
    again = Toy()
    whole = explore(again, **options)
    assert whole.about["complete"] and len(again.opened) == 1
    done = [r for r in part.rows if r["pass"] == "exact"]
    assert all(row in whole.rows for row in done)
    third = Toy()
    assert explore(third, **options).rows == whole.rows and not third.opened
    explore(third, **options | {"max_loss": 0.06})
    assert len(third.opened) == 2


def test_journal_keeps_marks_apart(tmp_path):
    path = tmp_path / "j"
    Journal(path, "a").put("k", 1)
    Journal(path, "b").put("k", 2)
    path.open("a").write("not json\n[]\n")
    assert (Journal(path, "a").get("k"), Journal(path, "b").get("k")) == (1, 2)
    assert Journal(path, "c").get("k") is None
    assert fingerprint("a", "b") != fingerprint("ab", "") != fingerprint(b"a", b"b")


def test_metric_sees_coded_features_and_images():
    toy = Toy()

    def metric(predict):
        same = [predict(b)[0].argmax(1) == toy.whole(b)[0].argmax(1) for b in toy.batches[2:]]
        return float(np.mean(same))

    result = explore(toy, metric=metric, max_loss=0.02, shortlist=1, profiles="rans")
    rows = [row for row in result.rows if row["pass"] == "exact"]
    assert {row["kind"] for row in rows} == {"device", "cloud", "split"}
    for row in rows:
        assert row["metric"] == (1.0 if row["kind"] == "device" else row["agreement"])


def test_ways_out(found, tmp_path):
    same = Exploration.from_json(found.to_json())
    assert same.rows == found.rows and same.about == found.about
    assert all(row["within"] == (row["loss"] <= 0.05) for row in same.rows)
    strict = found.replace(max_loss=0.0)
    assert "two (loss too high)" in strict.to_html() and "too high" not in found.to_html()
    frame = pytest.importorskip("pandas") and found.to_pandas()
    assert len(frame) == len(found.rows) and frame["total_ms"].notna().all()
    page = found.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert page.count("<svg") == 2 and "http" not in page and "src=" not in page
    assert all(row["cut"] in page for row in found.rows)
    assert found.cells()[0][-1] == "shape"  # which may be long
    assert "<table>" in found._repr_html_() and "total_ms" in str(found)
    nodes = json.loads(json.dumps(found.to_model_explorer("coded_bytes"), allow_nan=False))
    values = nodes["main"]["results"]
    assert set(values) == {"one", "two"} and all(type(v["value"]) is float for v in values.values())
    with pytest.raises(lwfc.ParameterError, match="column"):
        found.to_model_explorer("metric")


def test_plot(found):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    bars, front = found.plot()
    assert len(bars.get_yticklabels()) == 6 and front.get_xscale() == "log"
    matplotlib.pyplot.close(bars.figure)
    mine, axes = matplotlib.pyplot.subplots(1, 2)
    places = [ax.get_position().bounds for ax in axes]
    found.plot(axes)
    assert [ax.get_position().bounds for ax in axes] == places  # whose layout is the caller's
    matplotlib.pyplot.close(mine)


def test_names_are_escaped_in_the_page(found):
    spoiled = found.replace(network="<script>alert(1)</script>")
    assert "<script>" not in spoiled.to_html()


def test_merge(found):
    entries = found.entries
    parts = [Exploration(entries[i::2], found.cuts, found.link, found.edge_speed,
                         found.cloud_speed, found.about) for i in (0, 1)]  # fmt: skip
    whole = merge(parts)
    key = lambda row: (row["cut"], row["profile"])  # noqa: E731
    assert sorted(whole.rows, key=key) == sorted(found.rows, key=key)
    with pytest.raises(lwfc.ParameterError, match="max_loss"):
        merge([found, found.replace(max_loss=0.5)])
    with pytest.raises(lwfc.ParameterError):
        merge([])


@pytest.mark.parametrize("wrong, match", [
    ({"profiles": "best"}, "best"), ({"profiles": 3}, "profiles"), ({"max_loss": -1}, "max_loss"),
    ({"link": (8, 5)}, "Link"), ({"edge_speed": 0}, "edge_speed"), ({"few": 0}, "few"),
    ({"profiles": {"mine": 4}}, "mine"),
])  # fmt: skip
def test_wrong_parameters_are_named(wrong, match):
    with pytest.raises(lwfc.ParameterError, match=match):
        explore(Toy(), **wrong)


def test_one_batch_is_not_enough():
    with pytest.raises(lwfc.ParameterError, match="two batches"):
        explore(Toy(batches=1))


def test_own_profiles():
    (mine,) = choose_profiles({"mine": {"levels": 4, "coder": "raw"}})
    assert mine.at(0) == {"coder": "raw", "levels": 4} and len(mine.ladder) == 1
    assert [p.name for p in choose_profiles("auto")] == ["paper", "rans", "context", "transform"]


def test_transforms_as_own_profiles():
    profiles = choose_profiles({"free": {"transform": "dct"},
                                "fixed": {"transform": "dct", "step": 0.5}})  # fmt: skip
    assert [(p.knob, p.ladder, p.transforms) for p in profiles] == [
        ("step", (), True), ("step", (0.5,), True)
    ]  # fmt: skip
    with pytest.raises(lwfc.ParameterError, match="max_loss"):
        choose_profiles({"mine": {"transform": "dct", "distortion": 0.1}})


def test_without_gradients_blocks_are_the_usual_ones():
    row = explore(Toy(), few=4, shortlist=1, baselines=False, profiles="transform").best
    assert row["settings"]["block"] == 6


def test_a_transform_beside_the_other_profiles(found):
    """No other is as small within the same loss, nor is the transform at a fixed small step."""
    rows = {(row["cut"], row["profile"]): row for row in found.rows if row["pass"] == "exact"}
    transforms = [row for (_, profile), row in rows.items() if profile == "transform"]
    assert len(transforms) == 2
    for row in transforms:
        others = [rows[row["cut"], name]["coded_bytes"] for name in ("paper", "rans", "context")]
        assert row["coded_bytes"] < 0.7 * min(others)
    fixed = explore(Toy(), max_loss=0.05, few=4, shortlist=3, baselines=False,
                    profiles={"fixed": {"transform": "dct", "step": 0.05}})  # fmt: skip
    for row in fixed.rows:
        free = rows.get((row["cut"], "transform"))
        assert row["settings"]["step"] == 0.05 and row["loss"] < 0.05
        assert free is None or row["coded_bytes"] > 2 * free["coded_bytes"]


def test_wire_checks_codecs_and_bytes():
    toy = Toy()
    one, both, two = toy.cuts
    x = toy.stages(toy.batches[0])
    codec = lwfc.calibrate(x["two"], bound=True)
    assert Wire(two, codec).encode(x) == codec.encode(x["two"])
    assert np.array_equal(Wire(two, codec).decode(codec.encode(x["two"]))["two"].array,
                          codec.simulate(x["two"]))  # fmt: skip
    wire = Wire(one, lwfc.calibrate(x["one"]))
    assert np.array_equal(wire.decode(wire.encode(x))["mask"].array, x["mask"])
    with pytest.raises(lwfc.ParameterError, match="each with its own codec"):
        Wire(both, codec)
    with pytest.raises(lwfc.ParameterError, match="lacks 'two'"):
        Wire(both, {"one": codec})
    with pytest.raises(lwfc.ParameterError, match="'three'"):
        Wire(two, {"three": codec})
    blind = lwfc.calibrate(x["two"], transform="dct", step=0.5, channel_axis=1)
    assert str(Wire(two, blind)) == "bytes, codecs {two: transform}"
    other = lwfc.calibrate(x["two"], levels=3, bound=True, channel_axis=1)
    for half in (blind, other):  # streams that name their codec are told from those that do not
        with pytest.raises(lwfc.FormatError, match="another codec than this half's"):
            Wire(two, half).decode(lwfc.encode(x["two"], levels=4))
        with pytest.raises(lwfc.FormatError, match="another"):
            Wire(two, half).decode((other if half is blind else blind).encode(x["two"]))
    free = lwfc.calibrate(x["two"], levels=3, bound=False, channel_axis=1)
    assert Wire(two, free).decode(lwfc.encode(x["two"], levels=4))["two"].array.shape
    larger = Cut("two", ("two",), (LiveTensor("two", (None, 16, 24, 12), "float32"),))
    with pytest.raises(lwfc.ParameterError, match=r"two float32\(N, 16, 24, 12\).*\(16, 12, 12\)"):
        Wire(larger, blind)
    lossless = Wire(two, None)
    assert np.array_equal(lossless.decode(lossless.encode(x))["two"].array, x["two"])
    for wrong in (x["two"][:, :8], x["two"].astype(np.float64), x["two"][0]):
        with pytest.raises(lwfc.FormatError, match="takes two"):
            Wire(two, None).decode(Wire(two, None).encode({"two": wrong}))
    with pytest.raises(lwfc.FormatError, match="another way"):
        Wire(two, {"two": None}).decode(lwfc.split.pack({"two": x["two"]}, {"two": codec},
                                                        named=False))  # fmt: skip


def test_without_pillow_only_the_images_rows_are_left_out(monkeypatch):
    monkeypatch.setattr(images.importlib.util, "find_spec", lambda name: None)
    with pytest.warns(lwfc.OptionWarning, match=r"'lwfc\[viz\]'"):
        found = explore(Toy(), max_loss=0.05, shortlist=0)
    assert {row["kind"] for row in found.rows} == {"split", "device"} and found.about["complete"]
    network = Toy()
    network.survey = None  # said before the work
    with pytest.raises(ImportError, match=r"'lwfc\[viz\]'"):
        explore(network, max_loss=0.05, pixels=(0, 1))
