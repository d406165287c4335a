#include "pyext/pyext.h"

#include <string.h>

static const char capsule_name[] = "lwfc._core.codec";

static void codec_destroy(PyObject *capsule)
{
    lwfc_codec_release(PyCapsule_GetPointer(capsule, capsule_name));
}

static PyObject *codec_wrap(struct lwfc_codec *codec)
{
    PyObject *capsule = PyCapsule_New(codec, capsule_name, codec_destroy);
    if (capsule == NULL) {
        lwfc_codec_release(codec);
    }
    return capsule;
}

int lwfc_py_codec(PyObject *object, int optional, const struct lwfc_codec **codec)
{
    *codec = NULL;
    if (optional && (object == NULL || object == Py_None)) {
        return 0;
    }
    *codec = PyCapsule_GetPointer(object, capsule_name);
    return *codec != NULL ? 0 : -1;
}

/* A dimension tuple into `shape`; returns the count or -1: raised. */
static int shape_from_tuple(PyObject *tuple, int64_t *shape, int capacity)
{
    const Py_ssize_t n = PyTuple_Size(tuple);
    if (n < 0) {
        return -1;
    }
    if (n > capacity) {
        lwfc_py_raise(LWFC_ERROR_SHAPE);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        shape[i] = PyLong_AsLongLong(PyTuple_GetItem(tuple, i));
        if (shape[i] == -1 && PyErr_Occurred()) {
            return -1;
        }
    }
    return (int)n;
}

static PyObject *shape_to_tuple(const int64_t *shape, int rank)
{
    PyObject *tuple = PyTuple_New(rank);
    for (int i = 0; tuple != NULL && i < rank; i++) {
        PyObject *n = PyLong_FromLongLong(shape[i]);
        if (n == NULL || PyTuple_SetItem(tuple, i, n) < 0) {
            Py_DECREF(tuple);
            return NULL;
        }
    }
    return tuple;
}

static int axis_from_object(PyObject *object, int *axis)
{
    *axis = LWFC_AXIS_AUTO;
    if (object == Py_None) {
        return 0;
    }
    const long value = PyLong_AsLong(object);
    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    *axis = value < -LWFC_RANK_MAX || value >= LWFC_RANK_MAX ? 127 : (int)value;
    return 0;
}

/* Tables whose sizes do not match `levels` are the caller's mistake. */
static enum lwfc_status options_from_tables(const Py_buffer *thresholds, const Py_buffer *values,
                                            struct lwfc_codec_options *o)
{
    if (o->transform_nbytes > 0) {
        return o->levels == 0 && thresholds->len == 0 && values->len == 0 ? LWFC_OK
                                                                          : LWFC_ERROR_LEVELS;
    }
    if (o->levels < 2 || o->levels > LWFC_LEVELS_MAX) {
        return LWFC_ERROR_LEVELS;
    }
    const size_t group_nbytes = (size_t)o->levels * sizeof(float);
    o->groups = (size_t)values->len / group_nbytes;
    if (o->groups * group_nbytes != (size_t)values->len ||
        o->groups * (group_nbytes - sizeof(float)) != (size_t)thresholds->len) {
        return LWFC_ERROR_LEVELS;
    }
    o->thresholds = thresholds->buf;
    o->values = values->buf;
    return LWFC_OK;
}

static PyObject *py_codec_make(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    static char *names[] = {"levels",      "thresholds", "values",  "coder",   "channel_axis",
                            "bound",       "inner_shape", "rate_weight", "nan", "context",
                            "restore",     "metadata",    "transform", NULL};
    struct lwfc_codec_options o = {.struct_size = sizeof o};
    Py_buffer thresholds = {0}, values = {0}, context = {0}, restore = {0}, metadata = {0},
              transform = {0};
    PyObject *axis, *inner_shape;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iy*y*iOpO!diz*z*y*|z*", names, &o.levels,
                                     &thresholds, &values, &o.coder, &axis, &o.bound, &PyTuple_Type,
                                     &inner_shape, &o.rate_weight, &o.nan, &context, &restore,
                                     &metadata, &transform)) {
        return NULL;
    }
    PyObject *result = NULL;
    o.inner_rank = shape_from_tuple(inner_shape, o.inner_shape, LWFC_RANK_MAX - 1);
    if (o.inner_rank >= 0 && axis_from_object(axis, &o.channel_axis) == 0) {
        o.context = context.buf;
        o.context_nbytes = context.buf != NULL ? (size_t)context.len : 0;
        o.restore = restore.buf;
        o.restore_nbytes = restore.buf != NULL ? (size_t)restore.len : 0;
        o.metadata = metadata.buf;
        o.metadata_nbytes = (size_t)metadata.len;
        o.transform = transform.buf;
        o.transform_nbytes = transform.buf != NULL ? (size_t)transform.len : 0;
        struct lwfc_codec *codec = NULL;
        enum lwfc_status status = options_from_tables(&thresholds, &values, &o);
        if (status == LWFC_OK) {
            status = lwfc_codec_make(&o, &codec);
        }
        result = status == LWFC_OK ? codec_wrap(codec) : lwfc_py_raise_parameter(status);
    }
    PyBuffer_Release(&thresholds);
    PyBuffer_Release(&values);
    PyBuffer_Release(&context);
    PyBuffer_Release(&restore);
    PyBuffer_Release(&metadata);
    PyBuffer_Release(&transform);
    return result;
}

static PyObject *py_codec_read(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "y*", &data)) {
        return NULL;
    }
    struct lwfc_codec *codec;
    const enum lwfc_status status = lwfc_codec_read(data.buf, (size_t)data.len, &codec);
    PyBuffer_Release(&data);
    return status == LWFC_OK ? codec_wrap(codec) : lwfc_py_raise(status);
}

static PyObject *py_codec_write(PyObject *self, PyObject *object)
{
    (void)self;
    const struct lwfc_codec *codec;
    if (lwfc_py_codec(object, 0, &codec) < 0) {
        return NULL;
    }
    size_t nbytes;
    const uint8_t *file = lwfc_codec_write(codec, &nbytes);
    return PyBytes_FromStringAndSize((const char *)file, (Py_ssize_t)nbytes);
}

static PyObject *py_codec_fields(PyObject *self, PyObject *object)
{
    (void)self;
    const struct lwfc_codec *codec;
    if (lwfc_py_codec(object, 0, &codec) < 0) {
        return NULL;
    }
    struct lwfc_codec_options o;
    lwfc_codec_describe(codec, &o);
    const Py_ssize_t thresholds =
        o.groups > 0 ? (Py_ssize_t)(o.groups * (size_t)(o.levels - 1) * sizeof(float)) : 0;
    const Py_ssize_t values = (Py_ssize_t)(o.groups * (size_t)o.levels * sizeof(float));
    PyObject *axis = Py_None;
    if (o.channel_axis == LWFC_AXIS_AUTO) {
        Py_INCREF(axis);
    } else {
        axis = PyLong_FromLong(o.channel_axis);
    }
    return Py_BuildValue(
        "{s:i,s:y#,s:y#,s:i,s:N,s:O,s:N,s:d,s:i,s:y#,s:y#,s:y#,s:y#,s:K}", "levels", o.levels,
        "thresholds", o.thresholds, thresholds, "values", o.values, values, "coder", o.coder,
        "channel_axis", axis, "bound", o.bound ? Py_True : Py_False, "inner_shape",
        shape_to_tuple(o.inner_shape, o.inner_rank), "rate_weight", o.rate_weight, "nan", o.nan,
        "context", o.context, (Py_ssize_t)o.context_nbytes, "restore", o.restore,
        (Py_ssize_t)o.restore_nbytes, "metadata", o.metadata, (Py_ssize_t)o.metadata_nbytes,
        "transform", o.transform, (Py_ssize_t)o.transform_nbytes, "digest",
        (unsigned long long)lwfc_codec_digest(codec));
}

/* The arguments (codec, x, num_threads=1) of encode and symbols, and of encode `out`: a new
 * reference to x as an array that `tensor` describes; NULL: raised. */
static PyArrayObject *parse_coding(PyObject *args, PyObject *kwargs,
                                   const struct lwfc_codec **codec, struct lwfc_tensor *tensor,
                                   int *num_threads, PyObject **out)
{
    static char *names[] = {"codec", "x", "num_threads", "out", NULL};
    static char *names_without_out[] = {"codec", "x", "num_threads", NULL};
    PyObject *codec_object, *object;
    *num_threads = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, out != NULL ? "OO|iO" : "OO|i",
                                     out != NULL ? names : names_without_out, &codec_object,
                                     &object, num_threads, out) ||
        lwfc_py_codec(codec_object, 0, codec) < 0) {
        return NULL;
    }
    PyArrayObject *array = lwfc_py_array(object);
    if (array != NULL && lwfc_py_tensor(array, tensor) < 0) {
        Py_CLEAR(array);
    }
    return array;
}

/* The stream at the start of the caller's buffer: how many bytes it takes, fitting or not. */
static PyObject *fill_buffer(PyObject *out, const uint8_t *data, size_t nbytes)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(out, &buffer, PyBUF_WRITABLE) < 0) {
        return NULL;
    }
    if (nbytes <= (size_t)buffer.len) {
        memcpy(buffer.buf, data, nbytes);
    }
    PyBuffer_Release(&buffer);
    return PyLong_FromSize_t(nbytes);
}

static PyObject *py_encode(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    const struct lwfc_codec *codec;
    struct lwfc_tensor tensor;
    int num_threads;
    PyObject *out = Py_None;
    PyArrayObject *array = parse_coding(args, kwargs, &codec, &tensor, &num_threads, &out);
    if (array == NULL) {
        return NULL;
    }
    uint8_t *data = NULL;
    size_t nbytes = 0;
    enum lwfc_status status;
    Py_BEGIN_ALLOW_THREADS
    status = lwfc_encode(codec, &tensor, num_threads, &data, &nbytes);
    Py_END_ALLOW_THREADS
    Py_DECREF(array);
    if (status != LWFC_OK) {
        return lwfc_py_raise(status);
    }
    PyObject *result = out == Py_None
                           ? PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)nbytes)
                           : fill_buffer(out, data, nbytes);
    lwfc_free_bytes(data);
    return result;
}

/* The array that a stream decodes to; the shape has passed lwfc_inspect. */
static PyArrayObject *new_output(const struct lwfc_info *info, long long max_nbytes)
{
    static const int types[] = {NPY_FLOAT, NPY_HALF, NPY_USHORT, NPY_DOUBLE, NPY_NOTYPE,
                                NPY_BYTE,  NPY_UBYTE};
    npy_intp shape[LWFC_RANK_MAX];
    int empty = 0;
    for (int i = 0; i < info->rank; i++) {
        empty |= info->shape[i] == 0;
    }
    /* An empty array takes no memory, but NumPy multiplies its other dimensions. */
    const int64_t limit = empty ? INT64_MAX : max_nbytes;
    int64_t nbytes = (int64_t)lwfc_dtype_nbytes((enum lwfc_dtype)info->dtype);
    for (int i = 0; i < info->rank; i++) {
        shape[i] = (npy_intp)info->shape[i];
        const int64_t n = info->shape[i] > 0 ? info->shape[i] : 1;
        if (n > limit / nbytes) {
            lwfc_py_raise(LWFC_ERROR_TOO_LARGE);
            return NULL;
        }
        nbytes *= n;
    }
    if (nbytes > limit) {
        lwfc_py_raise(LWFC_ERROR_TOO_LARGE);
        return NULL;
    }
    return (PyArrayObject *)PyArray_SimpleNew(info->rank, shape, types[info->dtype]);
}

/* A new reference to the caller's output, if it can be written in place. */
static PyArrayObject *given_output(PyObject *out)
{
    if (!PyArray_Check(out) || !PyArray_ISBEHAVED((PyArrayObject *)out)) {
        PyErr_SetString(PyExc_TypeError,
                        "out must be a writable, aligned numpy array in native byte order");
        return NULL;
    }
    Py_INCREF(out);
    return (PyArrayObject *)out;
}

static PyObject *py_decode(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    static char *names[] = {"data", "codec", "out", "max_nbytes", "num_threads", NULL};
    Py_buffer data;
    PyObject *codec_object = Py_None, *out = Py_None;
    long long max_nbytes = 1LL << 30;
    int num_threads = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*|OOLi", names, &data, &codec_object, &out,
                                     &max_nbytes, &num_threads)) {
        return NULL;
    }
    PyArrayObject *result = NULL;
    const struct lwfc_codec *codec;
    struct lwfc_info info;
    struct lwfc_tensor tensor;
    if (lwfc_py_codec(codec_object, 1, &codec) == 0) {
        enum lwfc_status status = lwfc_inspect(data.buf, (size_t)data.len, codec, &info);
        if (status == LWFC_OK && info.bound && codec == NULL) {
            status = LWFC_ERROR_CODEC_MISSING;
        }
        if (status != LWFC_OK) {
            lwfc_py_raise(status);
        } else {
            result = out == Py_None ? new_output(&info, max_nbytes) : given_output(out);
        }
    }
    if (result != NULL && lwfc_py_tensor(result, &tensor) == 0) {
        enum lwfc_status status;
        Py_BEGIN_ALLOW_THREADS
        status = lwfc_decode(data.buf, (size_t)data.len, codec, &tensor, num_threads);
        Py_END_ALLOW_THREADS
        if (status != LWFC_OK) {
            lwfc_py_raise(status);
        }
    }
    PyBuffer_Release(&data);
    if (PyErr_Occurred()) {
        Py_CLEAR(result);
    }
    return (PyObject *)result;
}

static PyObject *py_inspect(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    static char *names[] = {"data", "codec", NULL};
    Py_buffer data;
    PyObject *codec_object = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*|O", names, &data, &codec_object)) {
        return NULL;
    }
    const struct lwfc_codec *codec;
    PyObject *result = NULL;
    if (lwfc_py_codec(codec_object, 1, &codec) == 0) {
        struct lwfc_info info;
        const enum lwfc_status status = lwfc_inspect(data.buf, (size_t)data.len, codec, &info);
        if (status != LWFC_OK) {
            lwfc_py_raise(status);
        } else {
            result = Py_BuildValue(
                "{s:i,s:O,s:i,s:i,s:i,s:N,s:i,s:i,s:k,s:n,s:n,s:L,s:L}", "version", info.version,
                "bound", info.bound ? Py_True : Py_False, "coder", info.coder, "dtype", info.dtype,
                "transform", info.transform, "shape",
                info.rank < 0 ? Py_NewRef(Py_None) : shape_to_tuple(info.shape, info.rank),
                "channel_axis", info.channel_axis, "levels",
                info.levels, "digest_tag", (unsigned long)info.digest_tag, "nbytes", data.len,
                "header_nbytes", (Py_ssize_t)info.header_nbytes, "nblocks",
                (long long)info.nblocks, "raw_nblocks", (long long)info.raw_nblocks);
        }
    }
    PyBuffer_Release(&data);
    return result;
}

static PyObject *py_simulate(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    static char *names[] = {"codec", "x", "out", "num_threads", NULL};
    PyObject *codec_object, *object, *out;
    int num_threads = 1;
    const struct lwfc_codec *codec;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO|i", names, &codec_object, &object, &out,
                                     &num_threads) ||
        lwfc_py_codec(codec_object, 0, &codec) < 0) {
        return NULL;
    }
    PyArrayObject *array = lwfc_py_array(object);
    PyArrayObject *result = array != NULL ? given_output(out) : NULL;
    struct lwfc_tensor x, y;
    int raised = result == NULL || lwfc_py_tensor(array, &x) < 0 || lwfc_py_tensor(result, &y) < 0;
    if (!raised) {
        enum lwfc_status status;
        Py_BEGIN_ALLOW_THREADS
        status = lwfc_simulate(codec, &x, &y, num_threads);
        Py_END_ALLOW_THREADS
        raised = status != LWFC_OK;
        if (raised) {
            lwfc_py_raise(status);
        }
    }
    Py_XDECREF((PyObject *)array);
    Py_XDECREF((PyObject *)result);
    if (raised) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* int16 of shape (samples, blocks, coefficients). */
static PyObject *transform_symbols(const struct lwfc_codec *codec, const struct lwfc_tensor *x,
                                   const struct lwfc_transform_layout *layout, int num_threads)
{
    int64_t samples;
    enum lwfc_status status = lwfc_trace_samples(codec, x, &samples);
    if (status != LWFC_OK) {
        return lwfc_py_raise(status);
    }
    const npy_intp shape[] = {(npy_intp)samples, layout->blocks, (npy_intp)layout->coefficients};
    PyObject *result = PyArray_SimpleNew(3, shape, NPY_INT16);
    if (result == NULL) {
        return NULL;
    }
    int16_t *coefficients = PyArray_DATA((PyArrayObject *)result);
    Py_BEGIN_ALLOW_THREADS
    status = lwfc_trace_coefficients(codec, x, num_threads, coefficients);
    Py_END_ALLOW_THREADS
    if (status != LWFC_OK) {
        Py_DECREF(result);
        return lwfc_py_raise(status);
    }
    return result;
}

static PyObject *py_symbols(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    const struct lwfc_codec *codec;
    struct lwfc_tensor x;
    int num_threads;
    PyArrayObject *array = parse_coding(args, kwargs, &codec, &x, &num_threads, NULL);
    if (array == NULL) {
        return NULL;
    }
    struct lwfc_transform_layout layout;
    if (lwfc_trace_layout(codec, &layout) == 0) {
        PyObject *coefficients = transform_symbols(codec, &x, &layout, num_threads);
        Py_DECREF(array);
        return coefficients;
    }
    PyArrayObject *result =
        (PyArrayObject *)PyArray_SimpleNew(x.rank, PyArray_DIMS(array), NPY_UINT8);
    if (result != NULL) {
        enum lwfc_status status;
        uint8_t *symbols = PyArray_DATA(result);
        Py_BEGIN_ALLOW_THREADS
        status = lwfc_trace_symbols(codec, &x, num_threads, symbols);
        Py_END_ALLOW_THREADS
        if (status != LWFC_OK) {
            lwfc_py_raise(status);
            Py_CLEAR(result);
        }
    }
    Py_DECREF(array);
    return (PyObject *)result;
}

#define WITH_KEYWORDS(function) (PyCFunction)(void (*)(void)) function, METH_VARARGS | METH_KEYWORDS

static PyMethodDef methods[] = {{"codec_make", WITH_KEYWORDS(py_codec_make), NULL},
                                {"codec_read", py_codec_read, METH_VARARGS, NULL},
                                {"codec_write", py_codec_write, METH_O, NULL},
                                {"codec_fields", py_codec_fields, METH_O, NULL},
                                {"encode", WITH_KEYWORDS(py_encode), NULL},
                                {"decode", WITH_KEYWORDS(py_decode), NULL},
                                {"inspect", WITH_KEYWORDS(py_inspect), NULL},
                                {"simulate", WITH_KEYWORDS(py_simulate), NULL},
                                {"symbols", WITH_KEYWORDS(py_symbols), NULL},
                                {NULL, NULL, 0, NULL}};

int lwfc_py_add_codec(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
