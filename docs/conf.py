"""Sphinx: `make docs` builds these pages with warnings as errors, and runs the notebooks."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "python")]

project = "lwfc"
author = "the lwfc developers"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "force"
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True
exclude_patterns = ["conf.py", "_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing", "mystnb.unknown_mime_type"]
autodoc_member_order = "bysource"
autodoc_mock_imports = ["tensorflow", "keras", "jax", "flax", "onnx", "onnxruntime",
                        "ai_edge_litert", "zarr", "numcodecs"]  # fmt: skip
html_theme = "alabaster"
html_theme_options = {"description": "the lightweight feature codec", "page_width": "1000px"}
