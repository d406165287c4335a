"""The command line's files: names and folders, nested and raw contents, options that clash."""

import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from common import features

import lwfc
from lwfc.tools import cli
from lwfc.tools.cli import main
from lwfc.tools.files import file_part

X = features((3, 4, 6, 5))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    return tmp_path


def error_of(capsys, *arguments, status=1):
    assert main([str(a) for a in arguments]) == status
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines and lines[-1].startswith(f"lwfc {arguments[0]}: ")
    return lines[-1]


# --- folders and names ----------------------------------------------------------------------------


def test_results_go_into_a_folder(folder, capsys):
    for name in ("a", "b"):
        np.save(f"{name}.npy", X)
    os.mkdir("out")
    assert main(["encode", "a.npy", "-o", "out", "-q"]) == 0
    assert main(["encode", "a.npy", "b.npy", "-o", "out", "-f", "-q"]) == 0
    assert sorted(os.listdir("out")) == ["a.npy.lwfc", "b.npy.lwfc"]
    assert main(["decode", "out/a.npy.lwfc", "out/b.npy.lwfc", "-o", "made/", "-q"]) == 0
    assert sorted(os.listdir("made")) == ["a.npy", "b.npy"]
    np.savez("many.npz", one=X, two=X)
    assert main(["encode", "many.npz", "-o", "out/", "-q"]) == 0
    assert {"many.npz.one.lwfc", "many.npz.two.lwfc"} < set(os.listdir("out"))
    assert "a folder with -o" in error_of(capsys, "encode", "many.npz", "-o", "one.lwfc", status=2)
    assert "-o" in error_of(capsys, "calibrate", "x.npy", status=2)


def test_two_inputs_of_one_name_are_refused_before_anything_is_lost(folder, capsys):
    for name in ("a", "b"):
        os.mkdir(name)
        np.save(f"{name}/x.npy", X)
    said = error_of(capsys, "encode", "a/x.npy", "b/x.npy", "-o", "out/", status=2)
    assert "a/x.npy" in said and "b/x.npy" in said
    assert error_of(capsys, "encode", "-", "-", status=2)
    assert error_of(capsys, "encode", "-", "-o", "out/", status=2)


KEYS = ["layer1/out", "layer1_out", "layer1%2Fout", "../up", "..", "/abs", "a\\b", "a:b", "a\nb",
        "é", "x" * 300, "x" * 299 + "y", " ", "con"]  # fmt: skip


def test_any_key_gives_a_file_in_the_folder(folder):
    for i, key in enumerate(KEYS[:-4]):
        np.savez("one.npz", **{key: X, "other": X + i})
        assert main(["encode", "one.npz", "-q", "-o", "out/"]) == 0
        assert len(os.listdir("out")) == 2
        for name in os.listdir("out"):
            os.unlink(f"out/{name}")
    assert sorted(p.name for p in folder.iterdir()) == ["one.npz", "out", "x.npy"]


def test_names_of_keys_are_short_harmless_and_distinct():
    parts = [file_part(key) for key in KEYS]
    assert len(set(parts)) == len(parts)
    assert not any(set(part) & set("/\\:\n\0") for part in parts)
    assert max(len(part.encode()) for part in parts) <= 120
    assert file_part("layer1.out-0 [2]") == "layer1.out-0 [2]"


def test_results_before_an_error_are_said(folder, capsys):
    Path("bad.npy").write_bytes(b"junk")
    assert main(["encode", "x.npy", "bad.npy"]) == 1
    said = capsys.readouterr().err
    assert "x.npy -> x.npy.lwfc" in said and "bad.npy" in said


def test_an_existing_codec_is_noticed_before_the_work(folder, capsys, monkeypatch):
    Path("c.lwfc").write_bytes(b"old")
    monkeypatch.setattr(cli, "calibrate", None)
    assert "-f" in error_of(capsys, "calibrate", "x.npy", "-o", "c.lwfc")


def test_a_missing_folder_is_noticed_before_the_work(folder, capsys, monkeypatch):
    monkeypatch.setattr(cli, "calibrate", None)
    assert "no folder out" in error_of(capsys, "calibrate", "x.npy", "-o", "out/c.lwfc")


def test_what_is_read_is_never_written_over(folder, capsys):
    """Not even by -f, which is for older results."""
    lwfc.calibrate(X).save("c.lwfc")
    os.symlink("x.npy", "link.npy")
    before = {name: Path(name).read_bytes() for name in ("x.npy", "c.lwfc")}
    for arguments in (
        ("encode", "x.npy", "-o", "x.npy"),
        ("encode", "x.npy", "-o", "link.npy"),
        ("encode", "x.npy", "--codec", "c.lwfc", "-o", "./c.lwfc"),
        ("calibrate", "x.npy", "-o", "x.npy"),
    ):
        assert "another file with -o" in error_of(capsys, *arguments, "-f", status=2)
    assert {name: Path(name).read_bytes() for name in before} == before


def test_files_of_something_else_are_called_that(folder, capsys):
    Path("notes.npy").write_text("plain text")
    Path("empty.npy").write_bytes(b"")
    np.save("objects.npy", np.array([{}], object))
    for name, reason in (
        ("notes.npy", "none of these"),
        ("empty.npy", "it is empty"),
        ("objects.npy", "Python objects"),
    ):
        said = error_of(capsys, "encode", name)
        assert reason in said and "unsafe" not in said and "allow_pickle" not in said


def test_a_whole_model_is_called_that(folder, capsys):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 2), "model.pt")
    assert "a whole model" in error_of(capsys, "encode", "model.pt")


def test_single_samples_in_files(folder, capsys):
    for i in range(3):
        np.save(f"s{i}.npy", X[i])
    files = ["s0.npy", "s1.npy", "s2.npy"]
    assert main(["calibrate", *files, "--no-batched", "-o", "c.lwfc", "-q"]) == 0
    assert lwfc.load("c.lwfc").metadata["samples"] == 3
    assert lwfc.load("c.lwfc").inner_shape == X.shape[1:]
    assert main(["calibrate", *files, "--batched", "-o", "c.lwfc", "-q", "-f"]) == 0
    assert lwfc.load("c.lwfc").metadata["samples"] == 12


def test_lwfcs_own_files_are_no_tensors(folder, capsys):
    lwfc.calibrate(X).save("c.lwfc")
    Path("s.lwfc").write_bytes(lwfc.encode(X))
    assert "codec file" in error_of(capsys, "encode", "c.lwfc")
    assert "stream" in error_of(capsys, "encode", "s.lwfc")


# --- contents -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_integers_are_refused_or_converted_by_name(folder, capsys, dtype):
    x = (X * 3).astype(dtype)
    np.save("n.npy", x)
    for command in (["encode", "n.npy"], ["calibrate", "n.npy", "-o", "c.lwfc"]):
        said = error_of(capsys, *command)
        assert np.dtype(dtype).name in said and "--dtype float32" in said
    assert main(["encode", "n.npy", "-q", "--dtype", "float32"]) == 0
    assert Path("n.npy.lwfc").read_bytes() == lwfc.encode(x.astype(np.float32))
    np.savez("n.npz", features=X, labels=np.arange(3))
    assert "labels" in error_of(capsys, "encode", "n.npz")
    assert not list(folder.glob("n.npz*.lwfc"))
    assert main(["encode", "n.npz", "--key", "features", "-q"]) == 0


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool"])
def test_integers_are_warned_of_from_python(dtype):
    x = (X * 3).astype(dtype)
    kept = dtype if dtype == "uint8" else "float32"
    with pytest.warns(lwfc.CalibrationWarning, match=f"{dtype}.*loss"):
        data = lwfc.encode(x)
    assert lwfc.decode(data).dtype == kept
    if kept == "float32":
        assert data == lwfc.encode(x.astype(np.float32))
    torch = pytest.importorskip("torch")
    with pytest.warns(lwfc.CalibrationWarning, match=dtype):
        assert lwfc.encode(torch.from_numpy(x)) == data


def test_bfloat16_and_float8_in_npy(folder, capsys):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        x = X.astype(getattr(ml_dtypes, name))
        np.save("raw.npy", x)
        said = error_of(capsys, "encode", "raw.npy")
        assert f"--dtype {'bfloat16' if name == 'bfloat16' else 'float8'}" in said
        assert main(["encode", "raw.npy", "-q", "-f", "--dtype", name]) == 0
        assert Path("raw.npy.lwfc").read_bytes() == lwfc.encode(x)
    with pytest.raises(lwfc.ParameterError, match="bfloat16"):
        lwfc.encode(np.zeros((2, 3), "V2"))
    with pytest.raises(lwfc.ParameterError, match="float8"):
        lwfc.encode(np.zeros((2, 3), "V1"))
    bits = X.astype(ml_dtypes.bfloat16).view(np.uint16)
    np.save("bits.npy", bits)
    assert main(["encode", "bits.npy", "-q", "--dtype", "bfloat16"]) == 0
    assert lwfc.inspect(Path("bits.npy.lwfc").read_bytes()).dtype == "bfloat16"
    assert "float32" in error_of(capsys, "encode", "x.npy", "--dtype", "bfloat16")


def test_calibrate_wants_one_array_of_a_file(folder, capsys):
    np.savez("f.npz", features=X, more=X + 1)
    said = error_of(capsys, "calibrate", "f.npz", "-o", "c.lwfc")
    assert "'features' (3, 4, 6, 5)" in said and "--key" in said and not Path("c.lwfc").exists()
    assert main(["calibrate", "f.npz", "--key", "features", "-o", "c.lwfc", "-q"]) == 0
    assert lwfc.load("c.lwfc") == lwfc.calibrate([X])
    assert main(["calibrate", "f.npz", "--key", "*", "-o", "c.lwfc", "-q", "-f"]) == 0
    assert lwfc.load("c.lwfc").metadata["samples"] == 6
    assert "unnamed" in error_of(capsys, "encode", "x.npy", "--key", "x")


def test_nested_torch_files(folder, capsys):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(X)
    torch.save({"layer1": {"out": x}, "deep": [x, {"er": x + 1}], "epoch": 3, "name": "n"}, "f.pt")
    assert main(["encode", "f.pt"]) == 0
    said = capsys.readouterr().err
    assert "epoch (int)" in said and "name (str)" in said
    names = sorted(p.name for p in folder.glob("*.lwfc"))
    assert names == ["f.pt.deep.0.lwfc", "f.pt.deep.1.er.lwfc", "f.pt.layer1.out.lwfc"]
    assert main(["encode", "f.pt", "--key", "deep.1.er", "-o", "one.lwfc", "-q"]) == 0
    assert Path("one.lwfc").read_bytes() == Path("f.pt.deep.1.er.lwfc").read_bytes()
    assert "deep.0" in error_of(capsys, "calibrate", "f.pt", "-o", "c.lwfc")
    torch.save({"a": {"b": x}, "a.b": x}, "two.pt")
    assert "'a.b'" in error_of(capsys, "encode", "two.pt")
    torch.save({"epoch": 3}, "none.pt")
    assert "epoch (int)" in error_of(capsys, "encode", "none.pt")
    torch.save(x, "x.npz")
    assert ".pt" in error_of(capsys, "encode", "x.npz")
    torch.save(x.int(), "i.pt")
    assert "int32" in error_of(capsys, "encode", "i.pt")
    assert main(["encode", "i.pt", "--dtype", "float16", "-q"]) == 0


def test_safetensors(folder, capsys):
    numpy_side = pytest.importorskip("safetensors.numpy")
    pytest.importorskip("ml_dtypes")
    numpy_side.save_file({"a": X, "layer/b": X + 1, "n": np.arange(3)}, "f.safetensors")
    assert "int64" in error_of(capsys, "encode", "f.safetensors")
    assert main(["encode", "f.safetensors", "--key", "a", "-q"]) == 0
    assert Path("f.safetensors.lwfc").read_bytes() == lwfc.encode(X)
    turned = np.asfortranarray(X)
    for x in (turned, turned.astype(np.float16)):
        Path("t.lwfc").write_bytes(lwfc.encode(x))
        assert main(["decode", "t.lwfc", "-o", "t.safetensors", "-q", "-f"]) == 0
        back = numpy_side.load_file("t.safetensors")["tensor"]
        assert back.dtype == x.dtype and np.array_equal(back, lwfc.decode(lwfc.encode(x)))
    torch = pytest.importorskip("torch")
    torch_side = pytest.importorskip("safetensors.torch")
    half = torch.from_numpy(X).bfloat16()
    torch_side.save_file({"h": half}, "h.safetensors")
    assert main(["encode", "h.safetensors", "-q"]) == 0
    assert Path("h.safetensors.lwfc").read_bytes() == lwfc.encode(half)
    assert main(["decode", "h.safetensors.lwfc", "-o", "back.safetensors", "-q"]) == 0
    assert torch_side.load_file("back.safetensors")["tensor"].dtype == torch.bfloat16
    Path("bad.safetensors").write_bytes(b"junk")
    assert "bad.safetensors" in error_of(capsys, "encode", "bad.safetensors")


@pytest.mark.parametrize(("package", "name", "extra"), [
    ("safetensors", "x.safetensors", "safetensors"), ("torch", "x.pt", "torch"),
])  # fmt: skip
def test_a_missing_package_is_named_with_its_extra(folder, capsys, monkeypatch, package, name,
                                                   extra):  # fmt: skip
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.numpy", None)
    Path(name).write_bytes(b"any")
    Path("x.lwfc").write_bytes(lwfc.encode(X))
    for command in (["encode", name], ["decode", "x.lwfc", "-f", "-o", name]):
        assert f"lwfc[{extra}]" in error_of(capsys, *command)


# --- options that exclude each other ----------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode", "x.npy", "--codec", "c.lwfc", "--levels", "4"],
        ["encode", "x.npy", "--codec", "c.lwfc", "--coder", "rans", "--nan", "zero"],
        ["encode", "x.npy", "-o", "y", "-c"],
        ["encode", "x.npy", "-q", "-v"],
        ["decode", "x.lwfc", "-t", "-o", "y"],
        ["decode", "x.lwfc", "-t", "-c"],
        ["decode", "x.lwfc", "-l", "-o", "y"],
        ["decode", "x.lwfc", "-l", "-t"],
        ["calibrate", "x.npy", "-o", "y", "-c"],
        ["encode", "-", "-c", "--json"],
        ["inspect", "x.lwfc", "-T", "2"],
    ],
)
def test_options_that_exclude_each_other(folder, arguments, capsys):
    lwfc.calibrate(X).save("c.lwfc")
    Path("x.lwfc").write_bytes(lwfc.encode(X))
    before = sorted(os.listdir())
    assert main(arguments) == 2
    assert capsys.readouterr().err
    assert sorted(os.listdir()) == before


# --- interruptions and neighbours -------------------------------------------------------------


def test_interrupt_leaves_whole_files_only(folder, capsys, monkeypatch):
    lwfc.calibrate(X).save("c.lwfc")
    before = Path("c.lwfc").read_bytes()

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "calibrate", stop)
    assert main(["calibrate", "x.npy", "-o", "c.lwfc", "-f"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert Path("c.lwfc").read_bytes() == before
    calls = []
    real = cli.encode

    def second(*arguments, **options):
        calls.append(1)
        return stop() if len(calls) == 2 else real(*arguments, **options)

    monkeypatch.setattr(cli, "encode", second)
    np.save("y.npy", X)
    assert main(["encode", "x.npy", "y.npy"]) == 130
    assert "x.npy.lwfc" in capsys.readouterr().err
    assert sorted(p.name for p in folder.glob("*.lwfc*")) == ["c.lwfc", "x.npy.lwfc"]


def test_warnings_are_lines(folder, capsys):
    np.save("flat.npy", np.ones((4, 3, 2, 2), np.float32))
    assert main(["calibrate", "flat.npy", "-o", "c.lwfc"]) == 0
    lines = capsys.readouterr().err.strip().splitlines()
    assert all(line.startswith(("lwfc calibrate: warning: ", "c.lwfc: ")) for line in lines)
    assert any("warning" in line for line in lines)


def test_processes_write_one_file_at_once(folder):
    command = [sys.executable, "-m", "lwfc", "calibrate", "x.npy", "-o", "c.lwfc", "-f", "--json"]
    environment = os.environ | {"PYTHONPATH": str(Path(lwfc.__file__).parents[1])}
    results = []

    def run():
        results.append(subprocess.run(command, env=environment, capture_output=True, text=True))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.returncode for result in results] == [0, 0, 0]
    digest = json.loads(results[0].stdout)[0]["digest"]
    assert lwfc.load("c.lwfc").summary()["digest"] == digest
    assert sorted(os.listdir()) == ["c.lwfc", "x.npy"]


def test_a_codec_goes_into_a_folder(folder, capsys):
    np.save("y.npy", X)
    assert main(["calibrate", "x.npy", "--levels", "2", "-o", "codecs/", "-q"]) == 0
    assert lwfc.load("codecs/x.lwfc").levels == 2
    said = error_of(capsys, "calibrate", "x.npy", "y.npy", "-o", "codecs/", status=2)
    assert "codecs/codec.lwfc" in said


# --- places and errors ----------------------------------------------------------------------------


def test_devices_and_pipes_take_results_without_force(folder):
    assert main(["encode", "x.npy", "-o", os.devnull, "-q"]) == 0
    os.mkfifo("pipe")
    found = []
    reader = threading.Thread(target=lambda: found.append(Path("pipe").read_bytes()))
    reader.start()
    assert main(["encode", "x.npy", "-o", "pipe", "-q"]) == 0
    reader.join()
    assert found == [lwfc.encode(X)]


def test_places_that_take_no_result_are_named(folder, capsys, monkeypatch):
    assert "empty" in error_of(capsys, "encode", "x.npy", "-o", "", status=2)
    assert "empty" in error_of(capsys, "encode", "", status=2)
    assert "x.npy/: that is a file" in error_of(capsys, "encode", "x.npy", "-o", "x.npy/")
    said = error_of(capsys, "encode", "x.npy", "x.npy", "-o", "out/", status=2)
    assert "x.npy and x.npy would both" in said
    assert error_of(capsys, "encode", "no.npy").startswith("lwfc encode: no.npy: No such file")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    said = error_of(capsys, "calibrate", "x.npy", "-o", "c.lwfc")
    assert "nothing may be written" in said and str(folder) in said


def test_errors_of_tensors_begin_with_their_file(folder, capsys):
    lwfc.calibrate(X, levels=2, nan="raise").save("c.lwfc")
    np.savez("bad.npz", good=X, bad=np.full_like(X, np.nan))
    said = error_of(capsys, "encode", "bad.npz", "--codec", "c.lwfc", "-o", "out/", status=2)
    assert said.startswith("lwfc encode: bad.npz:bad: ")


def test_what_is_no_array_in_an_archive_is_named(folder, capsys):
    with zipfile.ZipFile("bad.npz", "w") as archive:
        archive.writestr("a.npy", b"junk")
    assert "its a.npy: its bytes are none of these" in error_of(capsys, "encode", "bad.npz")
    lwfc.calibrate(X, levels=2).save("c.lwfc")
    said = error_of(capsys, "calibrate", "x.npy", "-o", "d.lwfc", "--transform", "dct",
                    "--metric", "c.lwfc")  # fmt: skip
    assert "an lwfc codec file" in said and "pickle" not in said
