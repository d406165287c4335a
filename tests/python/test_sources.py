"""Sources of samples: whatever users have is read as they mean it, or refused by name."""

import collections
import dataclasses
import errno
import tempfile
import warnings

import numpy as np
import pytest
from layouts import maps, tokens

import lwfc
from lwfc.base.arrays import as_tensor
from lwfc.calibration.samples import Batches

X = maps(24, 8, 10)
LABELS = np.arange(24) % 3


def same(source, x=X, **options):
    """The codec from this source is the one from the array."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = lwfc.calibrate(source, levels=3, restore="centroid", **options)
    expected = lwfc.calibrate(x, levels=3, restore="centroid")
    assert made.metadata["samples"] == len(x)
    assert made.inner_shape == x.shape[1:]
    assert made.channel_axis == expected.channel_axis
    assert np.allclose(made.values, expected.values, rtol=1e-5)


class ArrayLike:
    """What HDF5, zarr, JAX and TensorFlow arrays have in common; counts its reads."""

    def __init__(self, array, chunks=None):
        self._array, self.reads, self.chunks = array, 0, chunks
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __len__(self):
        return len(self._array)

    def __getitem__(self, key):
        self.reads += 1
        return self._array[key]

    def __iter__(self):
        return (ArrayLike(row) for row in self._array)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._array, dtype)


class Device:
    """An array that only gives itself away on request, as on an accelerator."""

    def __init__(self, array):
        self._array, self.shape, self.dtype = array, array.shape, array.dtype
        self.__cuda_array_interface__ = {}

    def __getitem__(self, key):
        return type(self)(self._array[key])

    def __array__(self, dtype=None, copy=None):
        raise TypeError("implicit conversion is not allowed")


class OnGpu(Device):
    def get(self):
        return self._array


class ByDlpack(Device):
    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return (1, 0)


@pytest.mark.parametrize("kind", [ArrayLike, OnGpu, ByDlpack])
def test_arrays_of_other_libraries(kind):
    same(kind(X))
    assert lwfc.encode(kind(X)) == lwfc.encode(X)
    codec = lwfc.calibrate(X)
    assert codec.encode(kind(X)) == codec.encode(X)
    assert np.array_equal(codec.simulate(kind(X)), codec.simulate(X))
    same([kind(X[:12]), kind(X[12:])])


def test_files_of_arrays_are_read_in_slices(monkeypatch):
    monkeypatch.setattr("lwfc.calibration.sources.CHUNK", 10 * X[0].size)
    dataset = ArrayLike(X, chunks=(4, 8, 10, 10))
    same(dataset)
    assert dataset.reads == 2 * 3  # two walks, in slices of two chunks


def test_hdf5_and_zarr(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["features"], file["labels"] = X, LABELS
        same(file["features"])
        same(file)
    zarr = pytest.importorskip("zarr")
    same(zarr.create_array(tmp_path / "x.zarr", data=X, chunks=(5, 8, 10, 10)))


def test_memory_maps_and_archives(tmp_path):
    np.save(tmp_path / "x.npy", X)
    same(np.load(tmp_path / "x.npy", mmap_mode="r"))
    np.savez(tmp_path / "x.npz", features=X, labels=LABELS)
    with np.load(tmp_path / "x.npz") as archive:
        same(archive)
    np.savez(tmp_path / "y.npz", a=X, b=X)
    with (
        np.load(tmp_path / "y.npz") as archive,
        pytest.raises(lwfc.ParameterError, match=r"samples\['a'\]"),
    ):
        lwfc.calibrate(archive)


class Dataset:
    """Single samples by number, with labels; no iterator, and no end of its own."""

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return X[i % len(X)], int(LABELS[i % len(X)])


Pair = collections.namedtuple("Pair", "features label")


@dataclasses.dataclass
class Record:
    features: np.ndarray
    label: int


def pairs(x):
    return [{"x": part, "id": np.arange(len(part))} for part in np.array_split(x, 3)]


@pytest.mark.parametrize(
    "source",
    [
        list(X),
        tuple(X),
        Dataset(),
        [(x, y) for x, y in zip(X, LABELS, strict=True)],
        [Pair(x, np.int64(y)) for x, y in zip(X, LABELS, strict=True)],
        [[part, LABELS[: len(part)].astype(np.float32)] for part in np.array_split(X, 4)],
        [[part] for part in np.array_split(X, 4)],
        [{"inputs": {"x": part}, "y": None} for part in np.array_split(X, 4)],
        pairs(X),
        [Record(x, 1) for x in X],
        memoryview(X),
        (X, LABELS),
        {"features": X, "labels": LABELS},
        X.tolist(),
        np.array([*X[:, None], None], object)[:-1],
        [np.array_split(X, 5)[i] for i in range(5)],
    ],
    ids=lambda source: type(source).__name__,
)
def test_single_samples_and_labels(source):
    same(source)


@pytest.mark.parametrize("x", [np.moveaxis(X, 1, -1).copy(), tokens(24)], ids=["hwc", "tokens"])
def test_batches_and_single_samples_tell_themselves(x):
    same(np.array_split(x, 3), x)
    same((part for part in np.array_split(x, 5)), x)
    if x.ndim == 4:
        same(list(x), x)
        same(iter(x), x)


def test_what_cannot_be_told_is_warned_of():
    x = np.random.default_rng(0).random((24, 8, 6, 6), np.float32)
    with pytest.warns(lwfc.CalibrationWarning, match="batched="):
        codec = lwfc.calibrate(list(x))
    assert codec.metadata["samples"] == 24
    with pytest.warns(lwfc.CalibrationWarning, match="batched="):
        codec = lwfc.calibrate(iter(x))
    assert codec.metadata["samples"] == 24 * 8
    for batched, samples in ((True, 24 * 8), (False, 24)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            codec = lwfc.calibrate(list(x), batched=batched)
        assert codec.metadata["samples"] == samples
    assert lwfc.calibrate(X[0], batched=False).inner_shape == X[0].shape


@pytest.mark.parametrize(
    "source, text",
    [
        ([X, LABELS, X[:, 0]], "pass one of them"),
        ([(X, X)], r"\(item\[0\] for item in samples\)"),
        ([{"a": X, "b": X}], r"\(item\['a'\] for item in samples\)"),
        ({"a": X, "b": X}, r"samples\['a'\]"),
        ([*np.array_split(X, 6), LABELS], "4 and of 1 axes"),
        ([X[:, :, 0]] + [X] * 5, "3 and of 4 axes"),
        ([[1.0, 2.0], [3.0]], "array of numbers"),
        ([None, None], "no array in it|type object"),
        ([], "there are no samples"),
        (iter([]), "there are no samples: .*used up"),
        (X[:0], "there are no samples"),
        (["a.npy"], r"hold 'a.npy'.*numpy\.load"),
        (iter(["a.npy"]), r"numpy\.load"),
        (np.zeros(3, "f4, f4"), r"samples\['f0'\]"),
        (b"bytes", "pass an array"),
        (object(), "type object"),
        (7, "axis 0"),
    ],
)
def test_refused_with_what_works(source, text):
    with pytest.raises(lwfc.ParameterError, match=text):
        lwfc.calibrate(source)


def test_torch_sources():
    torch = pytest.importorskip("torch")
    data = torch.utils.data
    t = torch.from_numpy(X)

    class Endless(data.IterableDataset):
        def __iter__(self):
            return iter(t.split(5))

    labelled = data.TensorDataset(t, torch.from_numpy(LABELS))
    for source in (
        data.TensorDataset(t),
        labelled,
        data.DataLoader(labelled, batch_size=7),
        data.DataLoader(data.TensorDataset(t), batch_size=5),
        data.DataLoader(labelled, batch_size=None),
        data.DataLoader(Endless(), batch_size=None),
        data.Subset(labelled, range(24)),
        list(t),
        t.split(5),
    ):
        same(source)


def test_nested_tensors():
    torch = pytest.importorskip("torch")
    parts = [torch.randn(n, 16) for n in (5, 9, 7, 6)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        nested = torch.nested.nested_tensor(parts)
    for source in (nested, [nested, nested]):
        codec = lwfc.calibrate(source, levels=3)
        assert codec.metadata["samples"] == (4 if source is nested else 8)
    with pytest.raises(lwfc.ParameterError, match="unbind"):
        lwfc.encode(nested)


def test_pandas():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(tokens(1, 600, 12)[0], columns=list("abcdefghijkl"))
    assert lwfc.calibrate(table, levels=3) == lwfc.calibrate(table.to_numpy(), levels=3)
    assert lwfc.encode(table["a"]) == lwfc.encode(table["a"].to_numpy())
    same(pandas.Series(list(X)))
    table["name"] = "text"
    with pytest.raises(lwfc.ParameterError, match="select_dtypes"):
        lwfc.calibrate(table)


def test_sparse_arrays_name_the_dense_call():
    sparse = pytest.importorskip("scipy.sparse")
    for call in (lwfc.calibrate, lwfc.encode):
        with pytest.raises(lwfc.ParameterError, match=r"x\.toarray\(\)"):
            call(sparse.csr_matrix(np.eye(4)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16"])
def test_masked_values_count_as_missing(dtype):
    x = (X * 10).astype(dtype)
    mask = np.zeros(x.shape, bool)
    mask[:, :2] = True
    fill = x.copy()
    fill[mask] = 30000
    masked = np.ma.array(fill, mask=mask)
    missing = np.where(mask, np.nan, x).astype("float32" if dtype == "int16" else dtype)
    assert lwfc.encode(masked) == lwfc.encode(missing)
    assert lwfc.encode(list(masked[:2])) == lwfc.encode(missing[:2].astype(np.float32))
    for source in (masked, [masked[:9], masked[9:]]):
        codec = lwfc.calibrate(source, levels=4)
        assert np.allclose(codec.values, lwfc.calibrate(missing, levels=4).values)
    assert codec.encode(masked) == codec.encode(missing)
    with pytest.raises(lwfc.ParameterError, match="NaN"):
        lwfc.calibrate(masked, nan="raise")
    unmasked = np.ma.array(x)
    assert lwfc.encode(unmasked) == lwfc.encode(x)


def test_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = X.astype(ml_dtypes.bfloat16)
    rounded = x.astype(np.float32)
    same(x, rounded)
    same(iter(x), rounded)
    masked = np.ma.array(x, mask=rounded > 1)
    assert as_tensor(masked).bfloat16


def test_sequence_first():
    x = tokens(6, 50, 16)
    turned = np.moveaxis(x, 1, 0).copy()
    for source in (turned, [turned[:, :4], turned[:, 4:]], ArrayLike(turned)):
        codec = lwfc.calibrate(source, levels=3, sample_axis=1)
        assert codec.metadata["samples"] == 6 and codec.inner_shape == (50, 16)
        assert codec == lwfc.calibrate(x, levels=3)
    with pytest.raises(lwfc.ParameterError, match="sample_axis"):
        lwfc.calibrate(turned, sample_axis=5)


class OnceOnly:
    """A new iterator for each who asks, over one source that is used up."""

    def __init__(self, batches):
        self._batches = iter(batches)

    def __iter__(self):
        yield from self._batches


def test_used_up_samples_are_noticed():
    parts = np.array_split(X, 4)
    assert lwfc.calibrate(OnceOnly(parts), levels=3) == lwfc.calibrate(X, levels=3)
    with pytest.raises(lwfc.ParameterError, match="iter\\(samples\\)"):
        lwfc.calibrate(OnceOnly(parts), levels=3, restore="centroid")
    same(iter(OnceOnly(parts)))


def test_temporary_file_full(monkeypatch):
    class Full:
        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    spool = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: Full(spool(**options)))
    with pytest.raises(OSError, match="TMPDIR") as caught:
        lwfc.calibrate(iter(np.array_split(X, 4)))
    assert caught.value.errno == errno.ENOSPC and isinstance(caught.value, lwfc.LwfcError)


def test_nothing_stays_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def interrupted():
        yield X
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lwfc.calibrate(interrupted())
    assert not list(tmp_path.iterdir())


def test_walks_agree_and_heads_are_kept():
    for source in (X, list(X), iter(np.array_split(X, 9)), Dataset()):
        with Batches(source) as batches:
            assert batches.head()[0].shape[1:] == X.shape[1:]
            for _ in range(2):
                assert np.array_equal(np.concatenate(list(batches.walk("test"))), X)


def test_walks_of_kept_samples_do_not_disturb_each_other():
    arrays = [np.full((2, 3, 4, 4), i, np.float32) for i in range(5)]
    with Batches(iter(arrays), batched=True) as samples:
        assert len(list(samples)) == 5
        for number, (one, other) in enumerate(zip(samples, samples, strict=True)):
            assert (one == number).all() and (other == number).all()
