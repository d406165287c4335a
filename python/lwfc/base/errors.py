"""The exceptions of lwfc. The C extension raises these classes too."""

__all__ = [
    "CalibrationWarning",
    "FormatError",
    "LwfcError",
    "OptionWarning",
    "ParameterError",
    "UncodedWarning",
]


class LwfcError(Exception):
    """Base class of every error lwfc raises on purpose."""


class FormatError(LwfcError, ValueError):
    """Bytes that are no valid stream or codec file, or of another codec; names the field."""


class ParameterError(LwfcError, ValueError):
    """A parameter or an array that cannot work; the message says what would."""


class CalibrationWarning(UserWarning):
    """Samples that fit no activation model, or whose axes tell nothing; says what was taken."""


class OptionWarning(UserWarning):
    """An option that has no effect beside the others; names what would give it one."""


class UncodedWarning(UserWarning):
    """A codec in a model may not do what it was put there for: never run, run twice, replaced."""
