"""A codec as text and back: for configurations that hold nothing but text."""

import base64

from ..base.checks import shown
from ..base.errors import ParameterError
from .codec import Codec

__all__ = ["from_text", "to_text"]


def to_text(codec: Codec) -> str:
    """The codec file's bytes as base64."""
    return base64.b64encode(codec.to_bytes()).decode("ascii")


def from_text(text: str) -> Codec:
    """The codec of a :func:`to_text`. Errors: FormatError; ParameterError for no base64, such as a
    path.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise ParameterError(
            f"codec={shown(text)}: pass an lwfc.Codec, as lwfc.load(path) gives it"
        ) from None
    return Codec.from_bytes(data)
