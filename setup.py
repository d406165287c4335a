"""Builds the extension lwfc._core; all metadata is in pyproject.toml.

LWFC_OPENMP=0|1|auto (default auto) switches OpenMP: auto uses it when the compiler can.
"""

import os
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
LIMITED_API = "0x030B0000"  # Python 3.11


class BuildExt(build_ext):
    """Adds the flags that need a compiler to ask."""

    def build_extensions(self):
        msvc = self.compiler.compiler_type == "msvc"
        # Streams must not depend on the compiler: no contraction, no fast math.
        flags = (
            ["/O2", "/std:c11", "/fp:precise"]
            if msvc
            else [
                "-std=c11",
                "-O3",
                "-ffp-contract=off",
                "-fvisibility=hidden",
                "-fno-strict-aliasing",
            ]
        )
        openmp = self.openmp_flags(msvc)
        for extension in self.extensions:
            extension.extra_compile_args += flags + openmp
            extension.extra_link_args += openmp
        super().build_extensions()

    def openmp_flags(self, msvc):
        wanted = os.environ.get("LWFC_OPENMP", "auto")
        if wanted == "0" or (wanted == "auto" and sys.platform == "darwin"):
            return []  # wheels for macOS must not bring a second OpenMP next to PyTorch's
        flag = "/openmp" if msvc else "-fopenmp"
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.c"
            source.write_text(
                "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
            )
            try:
                objects = self.compiler.compile([str(source)], folder, extra_postargs=[flag])
                self.compiler.link_executable(
                    objects, str(Path(folder) / "probe"), extra_postargs=[flag]
                )
            except Exception as error:
                if wanted == "1":
                    raise SystemExit(
                        f"LWFC_OPENMP=1, but this compiler has no OpenMP: {error}"
                    ) from error
                print("lwfc: building without OpenMP")
                return []
        return [flag]


sources = sorted(str(path) for path in Path("csrc").glob("**/*.c"))
headers = sorted(str(path) for path in Path("csrc").glob("**/*.h"))
macros = [("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION")]
if not FREE_THREADED:
    macros.append(("Py_LIMITED_API", LIMITED_API))

setup(
    ext_modules=[
        Extension(
            "lwfc._core",
            sources,
            include_dirs=["csrc", "csrc/include", numpy.get_include()],
            define_macros=macros,
            depends=headers,
            py_limited_api=not FREE_THREADED,
        )
    ],
    cmdclass={"build_ext": BuildExt},
    options={} if FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
