#include "pyext/pyext.h"

enum { SIDE_MAX = 64 };

/* A codec with a transform, whose layout it is; -1: raised. */
static int unwrap(PyObject *object, const struct lwfc_codec **codec,
                  struct lwfc_transform_layout *layout)
{
    if (lwfc_py_codec(object, 0, codec) < 0) {
        return -1;
    }
    if (lwfc_trace_layout(*codec, layout) != 0) {
        PyErr_SetString(PyExc_TypeError, "the codec has no transform");
        return -1;
    }
    return 0;
}

static PyObject *py_transform_layout(PyObject *self, PyObject *object)
{
    (void)self;
    const struct lwfc_codec *codec;
    struct lwfc_transform_layout l;
    if (unwrap(object, &codec, &l) < 0) {
        return NULL;
    }
    PyObject *limits = PyList_New(l.matrices);
    for (int m = 0; limits != NULL && m < l.matrices; m++) {
        PyObject *limit = PyLong_FromLong(lwfc_trace_limit(codec, m));
        if (limit == NULL || PyList_SetItem(limits, m, limit) < 0) {
            Py_CLEAR(limits);
        }
    }
    if (limits == NULL) {
        return NULL;
    }
    return Py_BuildValue("{s:I,s:I,s:i,s:i,s:i,s:i,s:i,s:i,s:N}", "coefficients", l.coefficients,
                         "groups", l.groups, "blocks", l.blocks, "channels", l.channels, "height",
                         l.height, "width", l.width, "block_height", l.block_height, "block_width",
                         l.block_width, "limits", limits);
}

static PyObject *py_transform_reconstruct(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *codec_object, *object;
    const struct lwfc_codec *codec;
    struct lwfc_transform_layout l;
    if (!PyArg_ParseTuple(args, "OO", &codec_object, &object) ||
        unwrap(codec_object, &codec, &l) < 0) {
        return NULL;
    }
    PyArrayObject *in =
        (PyArrayObject *)PyArray_FROMANY(object, NPY_INT16, 3, 3, NPY_ARRAY_CARRAY_RO);
    if (in == NULL) {
        return NULL;
    }
    if (PyArray_DIM(in, 1) != l.blocks || PyArray_DIM(in, 2) != (npy_intp)l.coefficients) {
        Py_DECREF(in);
        return lwfc_py_raise(LWFC_ERROR_MISMATCH);
    }
    const npy_intp shape[] = {PyArray_DIM(in, 0), l.channels, l.height, l.width};
    PyArrayObject *out = (PyArrayObject *)PyArray_SimpleNew(4, shape, NPY_FLOAT);
    if (out != NULL) {
        const int16_t *coefficients = PyArray_DATA(in);
        float *values = PyArray_DATA(out);
        const int64_t samples = shape[0];
        enum lwfc_status status;
        Py_BEGIN_ALLOW_THREADS
        status = lwfc_trace_reconstruct(codec, coefficients, samples, values);
        Py_END_ALLOW_THREADS
        if (status != LWFC_OK) {
            lwfc_py_raise(status);
            Py_CLEAR(out);
        }
    }
    Py_DECREF(in);
    return (PyObject *)out;
}

static PyObject *py_transform_dct(PyObject *self, PyObject *object)
{
    (void)self;
    const long n = PyLong_AsLong(object);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (n < 1 || n > SIDE_MAX) {
        return lwfc_py_raise(LWFC_ERROR_ARGUMENT);
    }
    const npy_intp shape[] = {n, n};
    PyArrayObject *table = (PyArrayObject *)PyArray_SimpleNew(2, shape, NPY_INT16);
    if (table == NULL) {
        return NULL;
    }
    const int bits = lwfc_trace_dct((int)n, PyArray_DATA(table));
    return Py_BuildValue("Ni", table, bits);
}

static PyMethodDef methods[] = {
    {"transform_layout", py_transform_layout, METH_O, NULL},
    {"transform_reconstruct", py_transform_reconstruct, METH_VARARGS, NULL},
    {"transform_dct", py_transform_dct, METH_O, NULL},
    {NULL, NULL, 0, NULL}};

int lwfc_py_add_transform(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
