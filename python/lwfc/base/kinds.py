"""Which kind of bytes somebody passed where a stream or a codec file was meant."""

from .errors import FormatError

__all__ = ["CODEC_FILE", "NPY", "STREAM", "ZIP", "explain", "kind_of"]

STREAM, CODEC_FILE = "an lwfc stream", "an lwfc codec file"
NPY, ZIP = "an .npy file", "a zip archive (.npz, .pt)"

# Compact streams have a first byte of their own.
COMPACT = tuple(bytes([first]) for first in range(0xA0, 0xC0))

# first bytes (or several that may be), what they are, the call that takes them
KINDS = (
    (b"\xc5LC", CODEC_FILE, "lwfc.load(path) or lwfc.Codec.from_bytes(data) reads it"),
    (b"\xc5L", STREAM, "lwfc.decode(data) reads it"),
    (COMPACT, STREAM, "lwfc.decode(data, codec) reads it"),
    (b"\xc5M", "an lwfc container of several tensors", "lwfc.split.unpack(data) reads it"),
    (b"\x93NUMPY", NPY, "numpy.load reads it, and lwfc.encode takes the array"),
    (b"PK", ZIP, "numpy.load or torch.load reads it"),
    (b"\x89HDF", "an HDF5 file", "h5py reads it"),
    (b"\x1f\x8b", "gzip's output", "decompress it first"),
    (b"(\xb5/\xfd", "zstd's output", "decompress it first"),
    (b"\xfd7zXZ", "xz's output", "decompress it first"),
    (b"\x80\x04", "a pickle", "pickle.load reads it"),
    (b"\x80\x05", "a pickle", "pickle.load reads it"),
    (b"{", "text, perhaps JSON", "lwfc.Codec.from_config takes a codec's configuration"),
)
NUL_HINT = (
    "bytes kept in NumPy's bytes type (np.array([data]), np.savez, HDF5's fixed strings) lose the "
    "NULs at their end; keep streams as np.frombuffer(data, np.uint8)"
)


def _known(data: memoryview | bytes) -> tuple[str, str] | None:
    start = bytes(data[:8])
    return next((row[1:] for row in KINDS if start.startswith(row[0])), None)


def kind_of(data: memoryview | bytes) -> str | None:
    """What the bytes begin like: STREAM, CODEC_FILE, another kind in words, or None."""
    known = _known(data)
    return known and known[0]


def explain(error: FormatError, data: memoryview, wanted: str) -> FormatError:
    """The same error, or a plainer one where the bytes ``data`` begin like something else."""
    if not len(data):
        return FormatError(f"no bytes at all: {wanted} is never empty")
    known = _known(data)
    if known is not None and known[0] != wanted:
        return FormatError(f"these bytes are {known[0]}, not {wanted}: {known[1]}")
    if wanted == STREAM and str(error).startswith(("checksum", "length: the bytes end")):
        error.add_note(NUL_HINT)
    return error
