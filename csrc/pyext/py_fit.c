/* The fits of the context model and of restoration. Arrays are checked here; what they hold is Python's affair. */
#include "pyext/pyext.h"

#include "fit/context_fit.h"
#include "fit/moments.h"

/* A new reference to a C-contiguous array of this type and shape, or NULL: raised. */
static PyArrayObject *array_of(PyObject *object, int type, int rank, const npy_intp *shape)
{
    PyArrayObject *array =
        (PyArrayObject *)PyArray_FROMANY(object, type, rank, rank, NPY_ARRAY_CARRAY_RO);
    for (int i = 0; array != NULL && i < rank; i++) {
        if (PyArray_DIM(array, i) != shape[i]) {
            PyErr_Format(PyExc_ValueError, "axis %d has length %zd, not %zd", i,
                         (Py_ssize_t)PyArray_DIM(array, i), (Py_ssize_t)shape[i]);
            Py_CLEAR(array);
        }
    }
    return array;
}

static npy_intp length_of(PyObject *object)
{
    return PyArray_Check(object) && PyArray_NDIM((PyArrayObject *)object) > 0
               ? PyArray_DIM((PyArrayObject *)object, 0)
               : 0;
}

enum { ARRAYS_MAX = 11 };

/* References that a call holds. */
struct held {
    PyArrayObject *arrays[ARRAYS_MAX];
    int count;
};

static const void *hold(struct held *held, PyObject *object, int type, int rank,
                        const npy_intp *shape)
{
    PyArrayObject *array = PyErr_Occurred() ? NULL : array_of(object, type, rank, shape);
    if (array == NULL) {
        return NULL;
    }
    held->arrays[held->count++] = array;
    return PyArray_DATA(array);
}

static PyObject *let_go(struct held *held, PyObject *result)
{
    for (int i = 0; i < held->count; i++) {
        Py_DECREF(held->arrays[i]);
    }
    return result;
}

/* rows = (planes, above, decay, mean, levels) */
static int take_rows(struct held *held, PyObject *tuple, struct lwfc_fit_rows *rows)
{
    PyObject *planes, *above, *decay, *mean;
    if (!PyArg_ParseTuple(tuple, "OOOOi", &planes, &above, &decay, &mean, &rows->levels)) {
        return -1;
    }
    const npy_intp channels = length_of(mean), count = length_of(decay);
    const npy_intp shape[] = {LWFC_FIT_PLANES, channels, count};
    rows->channels = channels;
    rows->count = count;
    rows->planes = hold(held, planes, NPY_UINT8, 3, shape);
    rows->above = hold(held, above, NPY_UINT16, 2, shape + 1);
    rows->decay = hold(held, decay, NPY_FLOAT32, 1, shape + 2);
    rows->mean = hold(held, mean, NPY_FLOAT64, 1, shape + 1);
    if (!PyErr_Occurred() && (rows->levels < 2 || rows->levels > LWFC_FIT_LEVELS_MAX ||
                              channels < 1 || count < 1)) {
        PyErr_SetString(PyExc_ValueError, "no rows, or levels out of range");
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* Numbers below `limit`; NULL: raised. */
static const int32_t *take_indices(struct held *held, PyObject *object, npy_intp limit,
                                   npy_intp *count)
{
    *count = length_of(object);
    const int32_t *indices = hold(held, object, NPY_INT32, 1, count);
    for (npy_intp i = 0; indices != NULL && i < *count; i++) {
        if (indices[i] < 0 || indices[i] >= limit) {
            PyErr_SetString(PyExc_ValueError, "an index is out of range");
            return NULL;
        }
    }
    return indices;
}

static PyObject *py_context_choose(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *tuple, *matrix, *channels_object, *earlier_object;
    int most, num_threads;
    struct held held = {.count = 0};
    struct lwfc_fit_rows rows;
    if (!PyArg_ParseTuple(args, "OOOOii", &tuple, &matrix, &channels_object, &earlier_object, &most,
                          &num_threads) ||
        take_rows(&held, tuple, &rows) < 0) {
        return let_go(&held, NULL);
    }
    npy_intp count, earlier_count;
    const npy_intp square[] = {rows.channels, rows.channels};
    const float *covariance = hold(&held, matrix, NPY_FLOAT32, 2, square);
    const int32_t *channels = take_indices(&held, channels_object, rows.channels, &count);
    const int32_t *earlier = take_indices(&held, earlier_object, rows.channels, &earlier_count);
    if (!PyErr_Occurred() && (most < 0 || most > LWFC_FIT_REFERENCES_MAX)) {
        PyErr_SetString(PyExc_ValueError, "references must be 0..255");
    }
    if (PyErr_Occurred()) {
        return let_go(&held, NULL);
    }
    const npy_intp shape[] = {count, most};
    PyArrayObject *slots = (PyArrayObject *)PyArray_ZEROS(2, shape, NPY_INT32, 0);
    PyArrayObject *places = (PyArrayObject *)PyArray_ZEROS(2, shape, NPY_UINT8, 0);
    PyArrayObject *counts = (PyArrayObject *)PyArray_ZEROS(1, shape, NPY_INT32, 0);
    if (slots != NULL && places != NULL && counts != NULL) {
        const struct lwfc_fit_references references = {PyArray_DATA(slots), PyArray_DATA(places),
                                                       PyArray_DATA(counts)};
        enum lwfc_status status;
        Py_BEGIN_ALLOW_THREADS
        status = lwfc_fit_choose(&rows, covariance, channels, count, earlier, earlier_count, most,
                                 num_threads, &references);
        Py_END_ALLOW_THREADS
        if (status == LWFC_OK) {
            return let_go(&held, Py_BuildValue("NNN", slots, places, counts));
        }
        lwfc_py_raise(status);
    }
    Py_XDECREF((PyObject *)slots);
    Py_XDECREF((PyObject *)places);
    Py_XDECREF((PyObject *)counts);
    return let_go(&held, NULL);
}

/* Slots below the channels, places and counts in range. */
static int check_references(const struct lwfc_fit_references *r, npy_intp count, npy_intp most,
                            npy_intp channels)
{
    for (npy_intp i = 0; i < count * most; i++) {
        if (r->slots[i] < 0 || r->slots[i] >= channels || r->places[i] >= LWFC_FIT_PLACES) {
            return -1;
        }
    }
    for (npy_intp i = 0; i < count; i++) {
        if (r->count[i] < 0 || r->count[i] > most) {
            return -1;
        }
    }
    return 0;
}

static PyObject *py_context_fit(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *tuple, *channels_object, *order_object, *slots, *places, *counts;
    PyObject *seen = Py_None, *unseen = Py_None;
    int spread, num_threads;
    struct held held = {.count = 0};
    struct lwfc_fit_rows rows;
    if (!PyArg_ParseTuple(args, "OOO(OOO)pi|OO", &tuple, &channels_object, &order_object, &slots,
                          &places, &counts, &spread, &num_threads, &seen, &unseen) ||
        take_rows(&held, tuple, &rows) < 0) {
        return let_go(&held, NULL);
    }
    npy_intp count, ordered, seen_count = 0, held_count = 0;
    const int32_t *channels = take_indices(&held, channels_object, rows.channels, &count);
    const int32_t *order = take_indices(&held, order_object, rows.channels, &ordered);
    const npy_intp most =
        PyArray_Check(slots) && PyArray_NDIM((PyArrayObject *)slots) == 2
            ? PyArray_DIM((PyArrayObject *)slots, 1)
            : 0;
    const npy_intp shape[] = {count, most};
    const struct lwfc_fit_references references = {
        (int32_t *)hold(&held, slots, NPY_INT32, 2, shape),
        (uint8_t *)hold(&held, places, NPY_UINT8, 2, shape),
        (int32_t *)hold(&held, counts, NPY_INT32, 1, shape)};
    struct lwfc_fit_split split = {0};
    if (seen != Py_None) {
        split.seen = take_indices(&held, seen, rows.count, &seen_count);
        split.held = take_indices(&held, unseen, rows.count, &held_count);
        split.seen_count = seen_count;
        split.held_count = held_count;
    }
    if (!PyErr_Occurred() && (check_references(&references, count, most, ordered) < 0 ||
                              most > LWFC_FIT_REFERENCES_MAX)) {
        PyErr_SetString(PyExc_ValueError, "a reference is out of range");
    }
    if (PyErr_Occurred()) {
        return let_go(&held, NULL);
    }
    const npy_intp weights_shape[] = {count, spread ? 2 : 1, LWFC_FIT_LOCAL + 2 * most};
    const npy_intp biases_shape[] = {count, rows.levels - 1};
    const npy_intp mean_shape[] = {count, LWFC_FIT_LOCAL + 2 * most};
    PyArrayObject *out[] = {(PyArrayObject *)PyArray_ZEROS(3, weights_shape, NPY_FLOAT64, 0),
                            (PyArrayObject *)PyArray_ZEROS(2, biases_shape, NPY_FLOAT64, 0),
                            (PyArrayObject *)PyArray_ZEROS(2, mean_shape, NPY_FLOAT64, 0),
                            (PyArrayObject *)PyArray_ZEROS(1, shape, NPY_FLOAT64, 0)};
    if (out[0] != NULL && out[1] != NULL && out[2] != NULL && out[3] != NULL) {
        const struct lwfc_fit_model models = {PyArray_DATA(out[0]), PyArray_DATA(out[1]),
                                              PyArray_DATA(out[2]), PyArray_DATA(out[3])};
        enum lwfc_status status;
        Py_BEGIN_ALLOW_THREADS
        status = lwfc_fit_channels(&rows, channels, count, order, &references, (int)most, spread,
                                   seen != Py_None ? &split : NULL, num_threads, &models);
        Py_END_ALLOW_THREADS
        if (status == LWFC_OK) {
            return let_go(&held, Py_BuildValue("NNNN", out[0], out[1], out[2], out[3]));
        }
        lwfc_py_raise(status);
    }
    for (int i = 0; i < 4; i++) {
        Py_XDECREF((PyObject *)out[i]);
    }
    return let_go(&held, NULL);
}

/* rows = (symbols, beside, above, diagonal, score or None, values, levels) */
static int take_values(struct held *held, PyObject *tuple, struct lwfc_fit_values *rows)
{
    PyObject *symbols, *around[3], *score, *values;
    if (!PyArg_ParseTuple(tuple, "OOOOOOi", &symbols, &around[0], &around[1], &around[2], &score,
                          &values, &rows->levels)) {
        return -1;
    }
    const int flat = !PyArray_Check(values) || PyArray_NDIM((PyArrayObject *)values) != 2;
    const npy_intp shape[] = {length_of(values),
                              flat ? 0 : PyArray_DIM((PyArrayObject *)values, 1)};
    rows->count = shape[0];
    rows->channels = shape[1];
    rows->symbols = hold(held, symbols, NPY_UINT8, 2, shape);
    for (int i = 0; i < 3; i++) {
        rows->around[i] = hold(held, around[i], NPY_UINT8, 2, shape);
    }
    rows->score = score == Py_None ? NULL : hold(held, score, NPY_FLOAT32, 2, shape);
    rows->values = hold(held, values, NPY_FLOAT32, 2, shape);
    if (!PyErr_Occurred() && (rows->levels < 2 || rows->levels > 256)) {
        PyErr_SetString(PyExc_ValueError, "levels out of range");
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* The products' sums of all numbers, or with `own` weights of what they make. */
static PyObject *py_restoration_moments(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *tuple, *own_object;
    int num_threads;
    struct held held = {.count = 0};
    struct lwfc_fit_values rows;
    if (!PyArg_ParseTuple(args, "OOi", &tuple, &own_object, &num_threads) ||
        take_values(&held, tuple, &rows) < 0) {
        return let_go(&held, NULL);
    }
    const npy_intp own_shape[] = {rows.channels, 3};
    const int scored = own_object != Py_None;
    const float *own = scored ? hold(&held, own_object, NPY_FLOAT32, 2, own_shape) : NULL;
    const npy_intp shape[] = {rows.channels, rows.levels, scored ? LWFC_FIT_SCORED : LWFC_FIT_ALL};
    PyObject *out = PyErr_Occurred() ? NULL : PyArray_ZEROS(3, shape, NPY_FLOAT64, 0);
    if (out != NULL) {
        double *sums = PyArray_DATA((PyArrayObject *)out);
        Py_BEGIN_ALLOW_THREADS
        if (scored) {
            lwfc_fit_scored(&rows, own, num_threads, sums);
        } else {
            lwfc_fit_moments(&rows, num_threads, sums);
        }
        Py_END_ALLOW_THREADS
    }
    return let_go(&held, out);
}

static PyObject *py_restoration_errors(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *tuple, *own_object, *tables[2], *limits[2];
    int num_threads;
    struct held held = {.count = 0};
    struct lwfc_fit_values rows;
    if (!PyArg_ParseTuple(args, "OOOOOOi", &tuple, &own_object, &tables[0], &tables[1], &limits[0],
                          &limits[1], &num_threads) ||
        take_values(&held, tuple, &rows) < 0) {
        return let_go(&held, NULL);
    }
    const npy_intp own_shape[] = {rows.channels, 3}, shape[] = {rows.channels, rows.levels};
    const float *own = hold(&held, own_object, NPY_FLOAT32, 2, own_shape);
    const float *offset = hold(&held, tables[0], NPY_FLOAT32, 2, shape);
    const float *slope = hold(&held, tables[1], NPY_FLOAT32, 2, shape);
    const float *low = hold(&held, limits[0], NPY_FLOAT32, 1, shape + 1);
    const float *high = hold(&held, limits[1], NPY_FLOAT32, 1, shape + 1);
    PyObject *out = PyErr_Occurred() ? NULL : PyArray_ZEROS(1, shape, NPY_FLOAT64, 0);
    if (out != NULL) {
        double *errors = PyArray_DATA((PyArrayObject *)out);
        Py_BEGIN_ALLOW_THREADS
        lwfc_fit_errors(&rows, own, offset, slope, low, high, num_threads, errors);
        Py_END_ALLOW_THREADS
    }
    return let_go(&held, out);
}

/* (values, symbols, levels) to counts, sums, least and largest, each (channels, levels). */
static PyObject *py_restoration_cells(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *values, *symbols;
    int levels, num_threads;
    struct held held = {.count = 0};
    if (!PyArg_ParseTuple(args, "OOii", &values, &symbols, &levels, &num_threads)) {
        return NULL;
    }
    const int solid = PyArray_Check(values) && PyArray_NDIM((PyArrayObject *)values) == 3;
    npy_intp shape[3] = {0};
    for (int i = 0; solid && i < 3; i++) {
        shape[i] = PyArray_DIM((PyArrayObject *)values, i);
    }
    struct lwfc_fit_cells cells = {.samples = shape[0], .channels = shape[1],
                                   .positions = shape[2], .levels = levels};
    cells.values = hold(&held, values, NPY_FLOAT32, 3, shape);
    cells.symbols = hold(&held, symbols, NPY_UINT8, 3, shape);
    if (!PyErr_Occurred() && (levels < 1 || levels > 256)) {
        PyErr_SetString(PyExc_ValueError, "levels out of range");
    }
    if (PyErr_Occurred()) {
        return let_go(&held, NULL);
    }
    const npy_intp out_shape[] = {shape[1], levels};
    static const int types[] = {NPY_FLOAT64, NPY_FLOAT64, NPY_FLOAT32, NPY_FLOAT32};
    PyArrayObject *out[4] = {NULL};
    for (int i = 0; i < 4; i++) {
        out[i] = (PyArrayObject *)PyArray_ZEROS(2, out_shape, types[i], 0);
    }
    if (out[0] != NULL && out[1] != NULL && out[2] != NULL && out[3] != NULL) {
        cells.counts = PyArray_DATA(out[0]);
        cells.sums = PyArray_DATA(out[1]);
        cells.low = PyArray_DATA(out[2]);
        cells.high = PyArray_DATA(out[3]);
        Py_BEGIN_ALLOW_THREADS
        lwfc_fit_cells(&cells, num_threads);
        Py_END_ALLOW_THREADS
        return let_go(&held, Py_BuildValue("NNNN", out[0], out[1], out[2], out[3]));
    }
    for (int i = 0; i < 4; i++) {
        Py_XDECREF((PyObject *)out[i]);
    }
    return let_go(&held, NULL);
}

static PyMethodDef methods[] = {{"context_choose", py_context_choose, METH_VARARGS, NULL},
                                {"context_fit", py_context_fit, METH_VARARGS, NULL},
                                {"restoration_moments", py_restoration_moments, METH_VARARGS, NULL},
                                {"restoration_cells", py_restoration_cells, METH_VARARGS, NULL},
                                {"restoration_errors", py_restoration_errors, METH_VARARGS, NULL},
                                {NULL, NULL, 0, NULL}};

int lwfc_py_add_fit(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
