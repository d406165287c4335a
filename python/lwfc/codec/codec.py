"""Codec: a calibrated quantizer, coder and restoration, or a transform, as a value."""

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import _core
from ..base.arrays import as_tensor, from_bits, is_torch, torch_like
from ..base.checks import check_axis, check_number, check_shape, check_table, choose
from ..base.errors import FormatError, LwfcError, ParameterError
from ..base.files import replace_file
from ..base.kinds import CODEC_FILE, explain
from ..base.outputs import start_of, writable
from ..base.threads import thread_count
from .axes import checked_type, explained, warn_of_moved_axes
from .gradient import straight_through
from .names import CODERS, NAN_POLICIES
from .stages import check_levels
from .stream import decode
from .symbols import decode_symbols, encode_symbols
from .value import BLOBS, CodecValue, notes_bytes

__all__ = ["Codec", "codec_from_bytes"]


class Codec(CodecValue):
    """Turns float tensors into bytes and back. Immutable, comparable, hashable, picklable.

    Parameters (all but the first two by keyword)

    ``thresholds``
        Ascending floats, shape (levels - 1,), or (channels, levels - 1) for one set per channel.
    ``values``
        What each symbol decodes to, shape (levels,) or (channels, levels).
    ``transform``
        A calibrated transform as bytes, in place of both and of all that concerns quantizers:
        coder, rate_weight, context and restore then keep their defaults, and streams are bound.
    ``coder``
        "raw" (packed symbols), "cabac" (the paper's binary arithmetic coder), "rans" (fastest) or
        "context" (smallest; needs its calibrated model ``context``).
    ``channel_axis``
        Which axis holds the channels; None: axis 1 of four or more, the last of two or three.
    ``bound``
        True: streams are shorter, but decode with this codec only. False: they decode with
        nothing else. None: as the calibrated parts demand.
    ``inner_shape``
        The usual shape without the first axis; saves header bytes of bound streams. A tensor of
        just this shape is one sample: its channel axis is that of samples, less one.
    ``rate_weight``
        Squared error one bit is worth in the encoder's rate-distortion pass; 0: no such pass.
    ``nan``
        "zero": NaN becomes the symbol whose value is nearest 0 (the lower of two);
        "raise": NaN and infinities are refused.
    ``context``, ``restore``
        Calibrated models of the coder and of the restoration, as bytes.
    ``metadata``
        Notes for people, a JSON-able mapping; no part of the codec's identity.

    Codecs pickle and copy. Once ``lwfc.torch`` is imported, ``torch.load`` takes checkpoints that
    hold them, weights-only loading included; ``to_bytes()`` is for everything else.

    Made by :func:`lwfc.calibrate`, :meth:`load`, :meth:`from_config`, or by hand.
    """

    __slots__ = ()

    def __init__(
        self,
        thresholds: Any = None,
        values: Any = None,
        *,
        coder: str = "rans",
        channel_axis: int | None = None,
        bound: bool | None = None,
        inner_shape: Sequence[int] = (),
        rate_weight: float = 0.0,
        nan: str = "zero",
        context: bytes | None = None,
        restore: bytes | None = None,
        metadata: Mapping[str, Any] | None = None,
        transform: bytes | None = None,
    ) -> None:
        number = choose("coder", coder, CODERS)
        if transform is None:
            if thresholds is None or values is None:
                raise ParameterError("give thresholds and values, or a transform")
            levels = check_levels(np.shape(values)[-1] if np.ndim(values) else 0)
            tables = (
                check_table("thresholds", thresholds, levels - 1),
                check_table("values", values, levels),
            )
        else:
            others = (thresholds, values, context, restore)
            if any(other is not None for other in others) or coder != "rans" or rate_weight != 0:
                raise ParameterError(
                    "a transform is in place of thresholds, values, coder, rate_weight, context "
                    "and restore: leave them out"
                )
            levels, tables, bound = 0, (b"", b""), True if bound is None else bound
        if (coder == "context") != (context is not None):
            raise ParameterError(
                'coder="context" and its calibrated model go together; use lwfc.calibrate'
            )
        if bound is None:
            bound = context is not None or restore is not None
        arguments = (
            levels,
            *tables,
            number,
            check_axis(channel_axis),
            bool(bound),
            check_shape("inner_shape", inner_shape),
            check_number("rate_weight", rate_weight, 0, 1e30),
            choose("nan", nan, NAN_POLICIES),
            context,
            restore,
            notes_bytes(metadata),
            transform,
        )
        if not bound and any(part is not None for part in (context, restore, transform)):
            raise ParameterError(
                "streams of calibrated coders, restorations and transforms are always bound"
            )
        try:
            handle = _core.codec_make(*arguments)
        except FormatError as error:  # here it is the caller's mistake, not a file's
            raise ParameterError(f"codec: {error}") from None
        self._adopt(handle)

    # --- what it does ---------------------------------------------------------------------------

    def encode(
        self, x: Any, *, out: Any = None, num_threads: int | None = 1
    ) -> bytes | memoryview:
        """The bytes of x: any array or tensor of rank 0 to 8; see ``lwfc.arrays`` for types.

        A codec of integers (``scale``) takes those of its type only.
        The bytes are equal on every CPU and for every ``num_threads`` (None or 0: all cores).
        They may end in NULs, which NumPy's bytes type drops: keep np.frombuffer(data, np.uint8).
        ``out``: a writable, contiguous buffer (a bytearray, a NumPy array) to use again and again,
        as a socket's; the stream fills its start, and a memoryview of just that is returned.
        Errors: ParameterError for types and shapes that do not fit, for NaN under "raise", and for
        an ``out`` that is too short, which is then as it was.
        """
        tensor = checked_type(self, as_tensor(x))
        warn_of_moved_axes(self, tensor.array.shape)
        buffer = None if out is None else writable(out)
        try:
            done = _core.encode(self._handle, tensor.array, thread_count(num_threads), buffer)
        except LwfcError as error:
            raise explained(error, "encoding", tensor, self) from None
        return done if buffer is None else start_of(buffer, done)

    def decode(
        self,
        data: Any,
        *,
        out: Any = None,
        max_nbytes: int = 2**30,
        num_threads: int | None = 1,
    ) -> Any:
        """The tensor in ``data`` (any bytes-like object), in the shape and type that was encoded.

        As :func:`lwfc.decode`; a self-contained stream decodes whatever codec wrote it.
        Errors: FormatError for bytes that are damaged or belong to another codec; ParameterError
        for a wrong ``out``.
        """
        return decode(data, self, out=out, max_nbytes=max_nbytes, num_threads=num_threads)

    def simulate(self, x: Any, *, num_threads: int | None = 1) -> Any:
        """``decode(encode(x))`` without making bytes: equal to the last bit.

        Arrays give arrays, PyTorch tensors give tensors of the same type and device. Where the
        tensor requires a gradient it passes straight through: unchanged for values inside the
        codec's range, 0 for those outside (``x.detach()`` stops it).
        """
        tensor = checked_type(self, as_tensor(x))
        out = np.empty_like(tensor.array, subok=False)
        warn_of_moved_axes(self, out.shape)
        try:
            _core.simulate(self._handle, tensor.array, out, thread_count(num_threads))
        except LwfcError as error:
            raise explained(error, "simulating", tensor, self) from None
        if is_torch(x):
            coded = torch_like(out, tensor.bfloat16, x)
            return straight_through(x, coded, self) if x.requires_grad else coded
        return from_bits(out, tensor.bfloat16, x)

    def symbols(self, x: Any, *, num_threads: int | None = 1) -> np.ndarray:
        """The symbols ``encode`` would code, uint8 of x's shape.

        With a transform: int16 (samples, blocks of a sample, live coefficients of a block).
        """
        tensor = checked_type(self, as_tensor(x))
        try:
            return _core.symbols(self._handle, tensor.array, thread_count(num_threads))
        except LwfcError as error:
            raise explained(error, "quantizing", tensor, self) from None

    def encode_symbols(
        self, symbols: np.ndarray, *, dtype: str = "float32", num_threads: int | None = 1
    ) -> bytes:
        """``encode`` for a tensor of type ``dtype`` that was quantized elsewhere to these symbols.

        uint8, below ``levels``, of the tensor's shape; the rate-distortion pass is the caller's.
        Errors: ParameterError; also for codecs with a transform.
        """
        return encode_symbols(self, symbols, dtype, num_threads)

    def decode_symbols(
        self, data: Any, *, max_nbytes: int = 2**30, num_threads: int | None = 1
    ) -> tuple[np.ndarray, str]:
        """(symbols, dtype) of a stream, for those who look up the values elsewhere.

        ``max_nbytes`` limits the symbols, a byte each. Errors: FormatError; ParameterError.
        """
        return decode_symbols(self, data, max_nbytes, num_threads)

    def replace(self, **changes: Any) -> "Codec":
        """A codec with some constructor arguments changed."""
        return Codec(**(self._arguments() | changes))

    # --- storing it -----------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The codec file: canonical, checksummed, read by :meth:`from_bytes` on any machine."""
        return _core.codec_write(self._handle)

    @classmethod
    def from_bytes(cls, data: Any) -> "Codec":
        """The codec in a codec file's bytes. Errors: FormatError."""
        try:
            handle = _core.codec_read(data)
        except TypeError:
            raise ParameterError(
                f"a {type(data).__name__} holds no codec file: pass its bytes, or call "
                "lwfc.load(path)"
            ) from None
        except FormatError as error:
            raise explain(error, memoryview(data).cast("B"), CODEC_FILE) from None
        codec = cls.__new__(cls)
        codec._adopt(handle)
        return codec

    def save(self, path: str | os.PathLike) -> None:
        """Write the codec file, replacing an older one only when complete.

        Any number of processes may save to one path: whoever is last leaves a whole file.
        """
        replace_file(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Codec":
        """Read a codec file. Errors: OSError, FormatError naming the file and the reason."""
        if not isinstance(path, (str, os.PathLike)):
            raise ParameterError(
                f"path is a {type(path).__name__}: name a file; bytes go to lwfc.Codec.from_bytes"
            )
        try:
            return cls.from_bytes(Path(path).read_bytes())
        except FormatError as error:
            raise FormatError(f"{os.fspath(path)}: {error}") from None

    def get_config(self) -> dict[str, Any]:
        """The codec as JSON-able values; byte strings as base64."""
        config = self._arguments()
        for name in ("thresholds", "values"):
            config[name] = None if config[name] is None else config[name].tolist()
        for name in BLOBS:
            blob = config[name]
            config[name] = None if blob is None else base64.b64encode(blob).decode("ascii")
        return {"id": "lwfc"} | config | {"inner_shape": list(self.inner_shape)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Codec":
        """The codec of a :meth:`get_config`. Errors: ParameterError."""
        arguments = dict(config)
        if arguments.pop("id", "lwfc") != "lwfc":
            raise ParameterError(f"configuration of id {config['id']!r}: must be 'lwfc'")
        try:
            for name in BLOBS:
                if arguments.get(name) is not None:
                    arguments[name] = base64.b64decode(arguments[name], validate=True)
            return cls(**arguments)
        except (TypeError, ValueError) as error:
            if isinstance(error, LwfcError):
                raise
            raise ParameterError(f"codec configuration: {error}") from error

    def __reduce__(self) -> tuple:
        return codec_from_bytes, (self.to_bytes(),)


def codec_from_bytes(data: bytes) -> Codec:
    """Pickles name this function: it stays where it is, under this name."""
    return Codec.from_bytes(data)
