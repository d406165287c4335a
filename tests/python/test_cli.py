"""The command line, as a process and in this one."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from common import features

import lwfc
from lwfc.tools.cli import main
from lwfc.tools.cli_parser import build_parser


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", features())
    return tmp_path


def run(*arguments, stdin=b""):
    return subprocess.run(
        [sys.executable, "-m", "lwfc", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(lwfc.__file__).parents[1])},
    )


def test_encode_and_decode(folder, capsys):
    assert main(["encode", "x.npy"]) == 0
    text = capsys.readouterr()
    assert text.out == "" and "bits per element" in text.err
    data = Path("x.npy.lwfc").read_bytes()
    assert data == lwfc.encode(features())
    Path("x.npy").unlink()
    assert main(["decode", "x.npy.lwfc", "-q"]) == 0
    assert np.array_equal(np.load("x.npy"), lwfc.decode(data))
    assert capsys.readouterr() == ("", "")


def test_pipes(folder):
    x = features()
    file = io.BytesIO()
    np.save(file, x)
    encoded = run("encode", "-", "--levels", "3", stdin=file.getvalue())
    assert encoded.returncode == 0 and encoded.stderr == b""
    assert encoded.stdout == lwfc.encode(x, levels=3)
    decoded = run("decode", "-", stdin=encoded.stdout)
    assert decoded.returncode == 0
    assert np.array_equal(np.load(io.BytesIO(decoded.stdout)), lwfc.decode(encoded.stdout))
    assert run("decode", "-c", "-t", "-", stdin=encoded.stdout).stdout == b""


def test_calibrated_codec(folder, capsys):
    np.save("more.npy", features(seed=5))
    assert main(["calibrate", "x.npy", "more.npy", "-o", "c.lwfc", "-n", "2", "--coder", "cabac",
                 "--restore", "centroid", "--clip-scale", "1.2", "--json"]) == 0  # fmt: skip
    row = json.loads(capsys.readouterr().out)[0]
    codec = lwfc.load("c.lwfc")
    assert codec.levels == row["levels"] == 2 and codec.metadata["samples"] == 12
    assert codec == lwfc.calibrate(
        [features(), features(seed=5)], levels=2, coder="cabac", restore="centroid", clip_scale=1.2
    )
    assert main(["encode", "x.npy", "--codec", "c.lwfc", "-q"]) == 0
    assert main(["decode", "x.npy.lwfc", "-o", "y.npy", "--codec", "c.lwfc", "-q"]) == 0
    assert np.array_equal(np.load("y.npy"), codec.simulate(features()))
    assert main(["inspect", "c.lwfc", "x.npy.lwfc", "--json"]) == 0
    shown, stream = json.loads(capsys.readouterr().out)
    assert (shown["kind"], stream["kind"]) == ("codec", "stream")
    assert shown["range"] == list(codec.clip_range) and shown["nbytes"] == len(codec.to_bytes())
    assert shown["digest"] == f"{codec.digest:016x}"


def test_numbers_are_numbers_and_digests_hexadecimal(folder, capsys):
    assert main(["calibrate", "x.npy", "-o", "t.lwfc", "--transform", "dct", "--step", "0.5",
                 "--channel-axis", "1", "-q"]) == 0  # fmt: skip
    assert main(["encode", "x.npy", "--codec", "t.lwfc", "-q"]) == 0
    capsys.readouterr()
    assert main(["inspect", "t.lwfc", "x.npy.lwfc", "--json"]) == 0
    codec, stream = json.loads(capsys.readouterr().out)
    assert codec["step"] == 0.5 and codec["map"] == [10, 9] and len(codec["block"]) == 2
    assert all(isinstance(end, float) for end in codec["range"])
    assert codec["digest"].endswith(stream["digest_tag"])
    assert main(["inspect", "t.lwfc"]) == 0
    assert "  step: 0.5\n" in capsys.readouterr().out


def test_json_keys_are_stable(folder, capsys):
    assert main(["encode", "x.npy", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert {"input", "output", "shape", "dtype", "levels", "coder", "nbytes", "nblocks",
            "bits_per_element"} <= row.keys()  # fmt: skip
    assert main(["decode", "x.npy.lwfc", "-t", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert row == {
        "input": "x.npy.lwfc",
        "output": None,
        "shape": [6, 8, 10, 9],
        "dtype": "float32",
    }
    assert main(["decode", "-l", "x.npy.lwfc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["levels"] == 4
    assert main(["inspect", "x.npy.lwfc"]) == 0
    assert "levels: 4" in capsys.readouterr().out


def test_archives(folder, capsys):
    np.savez("many.npz", a=features(), b=features(seed=1))
    assert main(["encode", "many.npz", "-q"]) == 0
    assert sorted(p.name for p in folder.glob("*.lwfc")) == ["many.npz.a.lwfc", "many.npz.b.lwfc"]
    assert main(["encode", "many.npz", "--key", "b", "-o", "b.lwfc", "-q"]) == 0
    assert Path("b.lwfc").read_bytes() == Path("many.npz.b.lwfc").read_bytes()
    assert main(["decode", "b.lwfc", "-o", "b.npz", "-q"]) == 0
    assert np.load("b.npz")["arr_0"].shape == features().shape
    assert main(["encode", "many.npz", "-o", "one.lwfc"]) == 2
    assert main(["encode", "many.npz", "--key", "c"]) == 1
    assert "'a', 'b'" in capsys.readouterr().err


def test_torch_files(folder):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(features())
    torch.save({"a": x, "b": x.bfloat16(), "name": "text"}, "x.pt")
    assert main(["encode", "x.pt", "-q"]) == 0
    assert main(["decode", "x.pt.a.lwfc", "-o", "a.pt", "-q"]) == 0
    expected = lwfc.decode(lwfc.encode(features()))
    assert np.array_equal(torch.load("a.pt", weights_only=True).numpy(), expected)
    assert main(["decode", "x.pt.b.lwfc", "-q", "-o", "b.npy"]) == 0
    assert np.load("b.npy").dtype == np.float32
    torch.save(torch.nn.Linear(2, 2), "module.pt")
    assert main(["encode", "module.pt"]) == 1
    Path("broken.pt").write_bytes(b"PK\3\4 nothing")
    assert main(["encode", "broken.pt"]) == 1


def test_existing_files_are_kept(folder, capsys):
    Path("x.npy.lwfc").write_bytes(b"old")
    assert main(["encode", "x.npy"]) == 1
    assert "-f" in capsys.readouterr().err
    assert Path("x.npy.lwfc").read_bytes() == b"old"
    assert main(["encode", "x.npy", "-f", "-q"]) == 0
    assert Path("x.npy.lwfc").read_bytes() != b"old"
    assert main(["decode", "x.npy.lwfc"]) == 1
    assert np.array_equal(np.load("x.npy"), features())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        b"\x93NUMPY\1\0",
        b"PK\5\6" + bytes(18),
        b"\x93NUMPY\1\0\x10\0{'descr': '|O'}  ",
    ],
)
def test_bad_data_is_status_1_and_no_traceback(folder, content, capsys):
    Path("bad.npy").write_bytes(content)
    Path("bad.lwfc").write_bytes(content)
    for arguments in (
        ["encode", "bad.npy"],
        ["decode", "bad.lwfc"],
        ["inspect", "bad.lwfc"],
        ["calibrate", "bad.npy", "-o", "c.lwfc"],
        ["encode", "x.npy", "--codec", "bad.lwfc"],
    ):
        assert main(arguments) == 1
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith(f"lwfc {arguments[0]}: ")


def test_damaged_stream_in_a_process(folder):
    data = bytearray(lwfc.encode(features()))
    data[len(data) // 2] ^= 1
    Path("bad.lwfc").write_bytes(data)
    done = run("decode", "bad.lwfc", "-o", "y.npy")
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    assert not Path("y.npy").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["squeeze"],
        ["encode"],
        ["encode", "x.npy", "--levels", "many"],
        ["encode", "x.npy", "--levels", "300"],
        ["encode", "x.npy", "--clip", "1,2,3"],
        ["encode", "x.npy", "--clip", "2,1"],
        ["encode", "x.npy", "--coder", "zip"],
        ["encode", "x.npy", "--coder", "context"],
        ["encode", "x.npy", "-c", "--json"],
        ["calibrate", "x.npy"],
        ["encode", "x.npy", "-T", "-2"],
    ],
)
def test_wrong_usage_is_status_2(folder, arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err
    assert not list(folder.glob("*.lwfc"))


def test_missing_files_are_status_1(folder, capsys):
    for arguments in (["encode", "no.npy"], ["decode", "no.lwfc"], ["inspect", "no.lwfc"]):
        assert main(arguments) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_complex_data_is_bad_data(folder):
    np.save("z.npy", np.array([1j]))
    assert main(["encode", "z.npy"]) == 1


def test_version_and_help(capsys):
    assert main(["-V"]) == 0
    assert capsys.readouterr().out.strip() == f"lwfc {lwfc.__version__}"
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("encode", "decode", "inspect", "calibrate", "demo"):
        assert command in text
        assert main([command, "--help"]) == 0
    letters = " ".join(
        build_parser()._subparsers._group_actions[0].choices["encode"].format_help().split()
    )
    for letter in ("-o", "-c", "-f", "-k", "-q", "-v", "-T", "--no-progress", "--json"):
        assert letter in letters


def test_all_cores_give_the_same_bytes(folder):
    assert main(["encode", "x.npy", "-o", "1.lwfc", "-q"]) == 0
    assert main(["encode", "x.npy", "-o", "0.lwfc", "-q", "-T", "0"]) == 0
    assert Path("0.lwfc").read_bytes() == Path("1.lwfc").read_bytes()


def test_calibrate_with_a_transform(folder, capsys):
    x = features((40, 8, 6, 6))
    np.save("x.npy", x)
    gradients = np.random.default_rng(0).standard_normal((2, *x.shape)).astype(np.float32)
    np.save("g.npy", gradients)
    fixed = ["calibrate", "x.npy", "-fq", "--transform", "dct", "--block", "3,6"]
    assert main([*fixed, "--step", "0.5", "--metric", "g.npy", "-o", "x.lwfc"]) == 0
    expected = lwfc.calibrate(x, transform="dct", block=(3, 6), step=0.5, metric=gradients)
    assert lwfc.load("x.lwfc") == expected
    assert main([*fixed, "--target-bits", "1.5", "-o", "x.lwfc"]) == 0
    assert main(["encode", "x.npy", "--codec", "x.lwfc", "-fq"]) == 0
    assert len(Path("x.npy.lwfc").read_bytes()) < 1.7 * x.size / 8
    capsys.readouterr()
    assert main(["decode", "x.npy.lwfc", "-o", "y.npy"]) == 1
    assert "): --codec FILE" in capsys.readouterr().err
    assert main([*fixed, "--levels", "4", "-o", "x.lwfc"]) != 0
    assert "levels" in capsys.readouterr().err
