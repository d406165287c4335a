"""The names of what streams and codec files hold as numbers; an index is the number."""

__all__ = ["CODERS", "DTYPES", "INTEGERS", "NAN_POLICIES", "TRANSFORMS"]

INTEGERS = ("int8", "uint8")  # of quantized networks
# 4 is no type: streams of it stay refused, as they always were.
DTYPES = ("float32", "float16", "bfloat16", "float64", None, *INTEGERS)
CODERS = ("raw", "cabac", "rans", "context")
TRANSFORMS = ("none", "dct-klt")
NAN_POLICIES = ("zero", "raise")
