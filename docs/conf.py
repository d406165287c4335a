"""Sphinx: `make docs` builds these pages with warnings as errors, and runs the notebooks."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "python")]

project = "lwfc"
author = "the lwfc developers"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
# Where a framework is missing, its notebook is shown without results; `make docs` has them all.
NEEDS = {"in_keras": "tensorflow", "in_jax": "flax", "in_onnx": "onnxruntime",
         "in_litert": "ai_edge_litert"}  # fmt: skip
nb_execution_excludepatterns = [f"notebooks/{name}.py" for name, module in NEEDS.items()
                                if importlib.util.find_spec(module) is None]  # fmt: skip
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
