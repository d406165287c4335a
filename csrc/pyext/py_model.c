/* The activation model and the quantizer design for Python. Models travel as
 * tuples (rate, location, skew, slope, cap), arrays as C-contiguous buffers of
 * doubles; activation.py and design.py check arguments and word the errors. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "lwfc.h"
#include "lwfc_model.h"

#include <math.h>
#include <string.h>

int lwfc_py_add_model(PyObject *module);

/* A C-contiguous buffer of `format` ("d", "f") holding `count` or more items. */
static int get_items(PyObject *object, const char *format, size_t count, int writable,
                     Py_buffer *view)
{
    const int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, view, flags) != 0) {
        return -1;
    }
    if (view->format == NULL || strcmp(view->format, format) != 0
        || (size_t)view->len / (size_t)view->itemsize < count) {
        PyErr_Format(PyExc_ValueError, "needs %zu items of format '%s'", count, format);
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

static PyObject *refuse(void)
{
    PyErr_SetString(PyExc_ValueError, "an argument is outside its range");
    return NULL;
}

/* For PyArg_ParseTuple's "O&": a valid model. */
static int convert_model(PyObject *object, void *address)
{
    struct lwfc_activation *model = address;
    if (!PyTuple_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "a model is a tuple");
        return 0;
    }
    if (!PyArg_ParseTuple(object, "ddddd:model", &model->rate, &model->location, &model->skew,
                          &model->slope, &model->cap)) {
        return 0;
    }
    if (!lwfc_activation_valid(model)) {
        refuse();
        return 0;
    }
    return 1;
}

static PyObject *model_fit(PyObject *self, PyObject *args)
{
    (void)self;
    double mean, variance, skew, slope, cap;
    struct lwfc_activation model;
    if (!PyArg_ParseTuple(args, "ddddd:model_fit", &mean, &variance, &skew, &slope, &cap)) {
        return NULL;
    }
    const int status = lwfc_activation_fit(mean, variance, skew, slope, cap, &model);
    if (status != LWFC_MODEL_OK) {
        return Py_BuildValue("(idd)", status, NAN, NAN);
    }
    return Py_BuildValue("(idd)", status, model.rate, model.location);
}

static PyObject *model_valid(PyObject *self, PyObject *args)
{
    (void)self;
    struct lwfc_activation m;
    if (!PyArg_ParseTuple(args, "(ddddd):model_valid", &m.rate, &m.location, &m.skew, &m.slope,
                          &m.cap)) {
        return NULL;
    }
    return PyBool_FromLong(lwfc_activation_valid(&m));
}

static PyObject *model_moments(PyObject *self, PyObject *args)
{
    (void)self;
    struct lwfc_activation model;
    if (!PyArg_ParseTuple(args, "O&:model_moments", convert_model, &model)) {
        return NULL;
    }
    return Py_BuildValue("(ddddd)", lwfc_activation_mean(&model),
                         lwfc_activation_variance(&model), lwfc_activation_deviation(&model),
                         lwfc_activation_atom_zero(&model), lwfc_activation_atom_cap(&model));
}

typedef double pointwise(const struct lwfc_activation *model, double y);

static PyObject *apply(PyObject *args, pointwise *function)
{
    struct lwfc_activation model;
    PyObject *in, *out;
    Py_buffer y, result;
    if (!PyArg_ParseTuple(args, "O&OO", convert_model, &model, &in, &out)
        || get_items(in, "d", 0, 0, &y) != 0) {
        return NULL;
    }
    const size_t count = (size_t)y.len / sizeof(double);
    if (get_items(out, "d", count, 1, &result) != 0) {
        PyBuffer_Release(&y);
        return NULL;
    }
    const double *from = y.buf;
    double *to = result.buf;
    Py_BEGIN_ALLOW_THREADS
    for (size_t i = 0; i < count; i++) {
        to[i] = function(&model, from[i]);
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&y);
    PyBuffer_Release(&result);
    Py_RETURN_NONE;
}

static PyObject *model_pdf(PyObject *self, PyObject *args)
{
    (void)self;
    return apply(args, lwfc_activation_pdf);
}

static PyObject *model_cdf(PyObject *self, PyObject *args)
{
    (void)self;
    return apply(args, lwfc_activation_cdf);
}

static PyObject *model_stop_loss(PyObject *self, PyObject *args)
{
    (void)self;
    return apply(args, lwfc_activation_stop_loss);
}

static PyObject *model_error(PyObject *self, PyObject *args)
{
    (void)self;
    struct lwfc_activation model;
    double lo, hi, clipping, quantisation;
    int levels;
    if (!PyArg_ParseTuple(args, "O&ddi:model_error", convert_model, &model, &lo, &hi, &levels)) {
        return NULL;
    }
    if (lwfc_activation_error(&model, lo, hi, levels, &clipping, &quantisation)
        != LWFC_MODEL_OK) {
        return refuse();
    }
    return Py_BuildValue("(ddd)", clipping, quantisation,
                         lwfc_activation_total_error(&model, lo, hi, levels));
}

static PyObject *model_cells(PyObject *self, PyObject *args)
{
    (void)self;
    struct lwfc_activation model;
    double lo, hi;
    int levels;
    PyObject *out;
    Py_buffer view;
    if (!PyArg_ParseTuple(args, "O&ddiO:model_cells", convert_model, &model, &lo, &hi, &levels,
                          &out)) {
        return NULL;
    }
    if (levels < 2 || levels > LWFC_MODEL_LEVELS_MAX) {
        return refuse();
    }
    if (get_items(out, "d", (size_t)levels, 1, &view) != 0) {
        return NULL;
    }
    const int status = lwfc_activation_cells(&model, lo, hi, levels, view.buf);
    PyBuffer_Release(&view);
    if (status != LWFC_MODEL_OK) {
        return refuse();
    }
    Py_RETURN_NONE;
}

/* "O&": a number that stays, or None for an end that is free. */
struct lower_end {
    double value;
    int free;
};

static int convert_lower_end(PyObject *object, void *address)
{
    struct lower_end *end = address;
    end->free = object == Py_None;
    end->value = end->free ? 0.0 : PyFloat_AsDouble(object);
    return !PyErr_Occurred();
}

static PyObject *range_result(int status, double lo, double hi)
{
    if (status == LWFC_MODEL_ARGUMENT) {
        return refuse();
    }
    if (status != LWFC_MODEL_OK) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(dd)", lo, hi);
}

static PyObject *model_range(PyObject *self, PyObject *args)
{
    (void)self;
    struct lwfc_activation model;
    struct lower_end lo;
    double hi = 0.0;
    int levels, status;
    if (!PyArg_ParseTuple(args, "O&iO&:model_range", convert_model, &model, &levels,
                          convert_lower_end, &lo)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = lwfc_activation_range(&model, levels, lo.free, &lo.value, &hi);
    Py_END_ALLOW_THREADS
    return range_result(status, lo.value, hi);
}

static PyObject *model_range_constant(PyObject *self, PyObject *args)
{
    (void)self;
    int levels;
    if (!PyArg_ParseTuple(args, "i:model_range_constant", &levels)) {
        return NULL;
    }
    return PyFloat_FromDouble(lwfc_model_range_constant(levels));
}

static PyObject *model_aciq(PyObject *self, PyObject *args)
{
    (void)self;
    double deviation;
    int levels, half;
    if (!PyArg_ParseTuple(args, "dip:model_aciq", &deviation, &levels, &half)) {
        return NULL;
    }
    return PyFloat_FromDouble(lwfc_model_aciq(deviation, levels, half));
}

static PyObject *quantizer_uniform(PyObject *self, PyObject *args)
{
    (void)self;
    float lo, hi;
    int levels;
    PyObject *thresholds_out, *values_out;
    Py_buffer thresholds, values;
    if (!PyArg_ParseTuple(args, "ffiOO:quantizer_uniform", &lo, &hi, &levels, &thresholds_out,
                          &values_out)) {
        return NULL;
    }
    if (levels < 2 || levels > LWFC_MODEL_LEVELS_MAX) {
        return refuse();
    }
    if (get_items(thresholds_out, "f", (size_t)levels - 1, 1, &thresholds) != 0) {
        return NULL;
    }
    if (get_items(values_out, "f", (size_t)levels, 1, &values) != 0) {
        PyBuffer_Release(&thresholds);
        return NULL;
    }
    const int status = (int)lwfc_quantizer_uniform(lo, hi, levels, thresholds.buf, values.buf);
    PyBuffer_Release(&thresholds);
    PyBuffer_Release(&values);
    if (status != LWFC_OK) {
        return refuse();
    }
    Py_RETURN_NONE;
}

/* The three arrays of struct lwfc_samples; `writable` says whether the sums
 * are still to be made. */
struct sample_views {
    Py_buffer views[3];
    struct lwfc_samples samples;
};

static int open_samples(PyObject *tuple, int writable, struct sample_views *s)
{
    PyObject *objects[3];
    if (!PyTuple_Check(tuple)) {
        PyErr_SetString(PyExc_TypeError, "samples are a tuple (sorted, sums, squares)");
        return -1;
    }
    if (!PyArg_ParseTuple(tuple, "OOO:samples", &objects[0], &objects[1], &objects[2])) {
        return -1;
    }
    size_t count = 0;
    for (int i = 0; i < 3; i++) {
        if (get_items(objects[i], "d", i == 0 ? 1 : count + 1, i > 0 && writable, &s->views[i])
            != 0) {
            while (i-- > 0) {
                PyBuffer_Release(&s->views[i]);
            }
            return -1;
        }
        if (i == 0) {
            count = (size_t)s->views[0].len / sizeof(double);
        }
    }
    s->samples.sorted = s->views[0].buf;
    s->samples.sums = s->views[1].buf;
    s->samples.squares = s->views[2].buf;
    s->samples.count = count;
    return 0;
}

static void close_samples(struct sample_views *s)
{
    for (int i = 0; i < 3; i++) {
        PyBuffer_Release(&s->views[i]);
    }
}

static PyObject *samples_sum(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *tuple;
    struct sample_views s;
    if (!PyArg_ParseTuple(args, "O:samples_sum", &tuple) || open_samples(tuple, 1, &s) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    lwfc_samples_sum(s.samples.sorted, s.samples.count, s.views[1].buf, s.views[2].buf);
    Py_END_ALLOW_THREADS
    close_samples(&s);
    Py_RETURN_NONE;
}

static PyObject *samples_error(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *tuple;
    double lo, hi;
    int levels;
    struct sample_views s;
    if (!PyArg_ParseTuple(args, "Oddi:samples_error", &tuple, &lo, &hi, &levels)) {
        return NULL;
    }
    if (levels < 2 || levels > LWFC_MODEL_LEVELS_MAX) {
        return refuse();
    }
    if (open_samples(tuple, 0, &s) != 0) {
        return NULL;
    }
    const double error = lwfc_samples_error(&s.samples, lo, hi, levels);
    close_samples(&s);
    return PyFloat_FromDouble(error);
}

static PyObject *samples_range(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *tuple;
    struct lower_end lo;
    double hi = 0.0;
    int levels, status;
    struct sample_views s;
    if (!PyArg_ParseTuple(args, "OiO&:samples_range", &tuple, &levels, convert_lower_end, &lo)
        || open_samples(tuple, 0, &s) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = lwfc_samples_range(&s.samples, levels, lo.free, &lo.value, &hi);
    Py_END_ALLOW_THREADS
    close_samples(&s);
    return range_result(status, lo.value, hi);
}

static PyObject *list_doubles(const double *x, int count)
{
    PyObject *list = PyList_New(count);
    for (int i = 0; list != NULL && i < count; i++) {
        PyObject *item = PyFloat_FromDouble(x[i]);
        if (item == NULL || PyList_SetItem(list, i, item) != 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static PyObject *list_floats(const float *x, int count)
{
    double wide[LWFC_MODEL_LEVELS_MAX];
    for (int i = 0; i < count; i++) {
        wide[i] = x[i];
    }
    return list_doubles(wide, count);
}

/* design(source, levels, lo, hi, rate_weight, pinned, lengths, tolerance,
 * iterations_max) -> thresholds, values, probabilities, rate, distortion,
 * lagrangian, iterations; None if there is no finite design. */
static PyObject *design(PyObject *args, int from_samples)
{
    PyObject *source;
    struct lwfc_ecsq_options options;
    int lengths;
    if (!PyArg_ParseTuple(args, "Oidddpidi:design", &source, &options.levels, &options.lo,
                          &options.hi, &options.rate_weight, &options.pinned, &lengths,
                          &options.tolerance, &options.iterations_max)) {
        return NULL;
    }
    options.lengths = lengths != 0 ? LWFC_LENGTHS_TRUNCATED_UNARY : LWFC_LENGTHS_ENTROPY;
    struct lwfc_ecsq_design result;
    int status;
    if (from_samples) {
        struct sample_views s;
        if (open_samples(source, 0, &s) != 0) {
            return NULL;
        }
        Py_BEGIN_ALLOW_THREADS
        status = lwfc_samples_design(&s.samples, &options, &result);
        Py_END_ALLOW_THREADS
        close_samples(&s);
    } else {
        struct lwfc_activation model;
        if (!convert_model(source, &model)) {
            return NULL;
        }
        Py_BEGIN_ALLOW_THREADS
        status = lwfc_activation_design(&model, &options, &result);
        Py_END_ALLOW_THREADS
    }
    if (status == LWFC_MODEL_ARGUMENT) {
        return refuse();
    }
    if (status != LWFC_MODEL_OK) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(NNNdddi)", list_floats(result.thresholds, result.levels - 1),
                         list_floats(result.values, result.levels),
                         list_doubles(result.probabilities, result.levels), result.rate,
                         result.distortion, result.lagrangian, result.iterations);
}

static PyObject *samples_design(PyObject *self, PyObject *args)
{
    (void)self;
    return design(args, 1);
}

static PyObject *model_design(PyObject *self, PyObject *args)
{
    (void)self;
    return design(args, 0);
}

static PyMethodDef functions[] = {
    {"model_fit", model_fit, METH_VARARGS,
     "mean, variance, skew, slope, cap -> status, rate, location"},
    {"model_valid", model_valid, METH_VARARGS, "model -> bool"},
    {"model_moments", model_moments, METH_VARARGS,
     "model -> mean, variance, E|Y - mean|, P(Y = 0), P(Y = cap)"},
    {"model_pdf", model_pdf, METH_VARARGS, "model, y, out"},
    {"model_cdf", model_cdf, METH_VARARGS, "model, y, out"},
    {"model_stop_loss", model_stop_loss, METH_VARARGS, "model, t, out"},
    {"model_error", model_error, METH_VARARGS,
     "model, lo, hi, levels -> clipping, quantisation, total by the stop-loss identity"},
    {"model_cells", model_cells, METH_VARARGS, "model, lo, hi, levels, out"},
    {"model_range", model_range, METH_VARARGS, "model, levels, lo | None -> (lo, hi) | None"},
    {"model_range_constant", model_range_constant, METH_VARARGS, "levels -> K_N"},
    {"model_aciq", model_aciq, METH_VARARGS, "deviation, levels, half -> alpha"},
    {"model_design", model_design, METH_VARARGS, "as samples_design, of a model"},
    {"quantizer_uniform", quantizer_uniform, METH_VARARGS, "lo, hi, levels, thresholds, values"},
    {"samples_sum", samples_sum, METH_VARARGS, "(sorted, sums, squares): fills the sums"},
    {"samples_error", samples_error, METH_VARARGS, "samples, lo, hi, levels -> error"},
    {"samples_range", samples_range, METH_VARARGS, "samples, levels, lo | None -> (lo, hi) | None"},
    {"samples_design", samples_design, METH_VARARGS,
     "samples, levels, lo, hi, rate_weight, pinned, lengths, tolerance, iterations_max"},
    {NULL, NULL, 0, NULL},
};

int lwfc_py_add_model(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
