/* Streams of symbols that were quantized elsewhere, and back to symbols. */
#include "pyext/pyext.h"

/* Describes a tensor of the array's shape and this element type, without data. */
static int describe(PyArrayObject *symbols, int dtype, struct lwfc_tensor *like)
{
    const int rank = PyArray_NDIM(symbols);
    if (PyArray_TYPE(symbols) != NPY_UINT8 || !PyArray_IS_C_CONTIGUOUS(symbols) ||
        rank > LWFC_RANK_MAX || !lwfc_dtype_known(dtype)) {
        PyErr_SetString(PyExc_TypeError, "symbols must be a uint8 array in C order");
        return -1;
    }
    *like = (struct lwfc_tensor){.dtype = dtype, .rank = rank};
    int64_t stride = (int64_t)lwfc_dtype_nbytes((enum lwfc_dtype)dtype);
    for (int i = rank - 1; i >= 0; i--) {
        like->shape[i] = (int64_t)PyArray_DIM(symbols, i);
        like->strides[i] = stride;
        stride *= like->shape[i] > 0 ? like->shape[i] : 1;
    }
    return 0;
}

static PyObject *py_encode_symbols(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    static char *names[] = {"codec", "symbols", "dtype", "num_threads", NULL};
    PyObject *codec_object;
    PyArrayObject *symbols;
    int dtype, num_threads = 1;
    const struct lwfc_codec *codec;
    struct lwfc_tensor like;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!i|i", names, &codec_object, &PyArray_Type,
                                     &symbols, &dtype, &num_threads) ||
        lwfc_py_codec(codec_object, 0, &codec) < 0 || describe(symbols, dtype, &like) < 0) {
        return NULL;
    }
    uint8_t *data = NULL;
    size_t nbytes = 0;
    enum lwfc_status status;
    const uint8_t *in = PyArray_DATA(symbols);
    Py_BEGIN_ALLOW_THREADS
    status = lwfc_encode_symbols(codec, &like, in, num_threads, &data, &nbytes);
    Py_END_ALLOW_THREADS
    if (status != LWFC_OK) {
        return lwfc_py_raise(status);
    }
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)nbytes);
    lwfc_free_bytes(data);
    return bytes;
}

static PyObject *py_decode_symbols(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    static char *names[] = {"data", "codec", "out", "dtype", "num_threads", NULL};
    Py_buffer data;
    PyObject *codec_object;
    PyArrayObject *out;
    int dtype, num_threads = 1;
    const struct lwfc_codec *codec;
    struct lwfc_tensor like;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*OO!i|i", names, &data, &codec_object,
                                     &PyArray_Type, &out, &dtype, &num_threads)) {
        return NULL;
    }
    if (lwfc_py_codec(codec_object, 1, &codec) == 0 && describe(out, dtype, &like) == 0) {
        enum lwfc_status status;
        uint8_t *symbols = PyArray_DATA(out);
        Py_BEGIN_ALLOW_THREADS
        status = lwfc_decode_symbols(data.buf, (size_t)data.len, codec, &like, num_threads,
                                     symbols);
        Py_END_ALLOW_THREADS
        if (status != LWFC_OK) {
            lwfc_py_raise(status);
        }
    }
    PyBuffer_Release(&data);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_NONE;
}

#define WITH_KEYWORDS(function) (PyCFunction)(void (*)(void)) function, METH_VARARGS | METH_KEYWORDS

static PyMethodDef methods[] = {{"encode_symbols", WITH_KEYWORDS(py_encode_symbols), NULL},
                                {"decode_symbols", WITH_KEYWORDS(py_decode_symbols), NULL},
                                {NULL, NULL, 0, NULL}};

int lwfc_py_add_symbols(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
