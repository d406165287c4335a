/* What the binding's files share. The only folder with Python.h. */
#ifndef LWFC_PYEXT_PYEXT_H
#define LWFC_PYEXT_PYEXT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL lwfc_ARRAY_API
#define PY_UFUNC_UNIQUE_SYMBOL lwfc_UFUNC_API
#ifndef LWFC_PYEXT_MODULE
#define NO_IMPORT_ARRAY
#define NO_IMPORT_UFUNC
#endif
#include <numpy/arrayobject.h>

#include "codec/stages.h"

/* Raises the exception that stands for a failure: FormatError for bytes,
 * ParameterError for arguments, MemoryError. Returns NULL. */
PyObject *lwfc_py_raise(enum lwfc_status status);

/* The same where the bytes at fault are the caller's own arguments. */
PyObject *lwfc_py_raise_parameter(enum lwfc_status status);

/* Describes an array of float16, float32, float64, or of uint16, which stands
 * for bfloat16. `array` must be aligned and in native byte order. -1: raised. */
int lwfc_py_tensor(PyArrayObject *array, struct lwfc_tensor *tensor);

/* A new reference to `object` as an array that lwfc_py_tensor accepts; copies
 * only byte-swapped or unaligned data. */
PyArrayObject *lwfc_py_array(PyObject *object);

/* An argument that is a codec or, where allowed, None. -1: raised. */
int lwfc_py_codec(PyObject *object, int optional, const struct lwfc_codec **codec);

/* Each file adds its functions; 0, or -1: raised. */
int lwfc_py_add_stages(PyObject *module);
int lwfc_py_add_codec(PyObject *module);
int lwfc_py_add_model(PyObject *module);
int lwfc_py_add_symbols(PyObject *module);
int lwfc_py_add_transform(PyObject *module);
int lwfc_py_add_fit(PyObject *module);

#endif
