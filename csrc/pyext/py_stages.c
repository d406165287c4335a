#include "pyext/pyext.h"

#include <numpy/ufuncobject.h>

#include <fenv.h>
#include <math.h>
#include <string.h>

/* Ufunc loops: each names its operands by their place in args, walks runs of
 * elements that share parameters, and calls the kernel on chunks that fit the
 * first-level cache. NumPy has checked types and shapes and holds no GIL. */

enum { CHUNK = 2048 };

struct passes {
    const struct lwfc_quantize_kernels *quantize;
    const struct lwfc_convert_kernels *convert;
};

static struct passes passes_now(void)
{
    const uint32_t features = lwfc_cpu_features();
    return (struct passes){lwfc_quantize_kernels_for(features), lwfc_convert_kernels_for(features)};
}

/* A NaN has a symbol by definition, it is no invalid operation: what the kernels'
 * comparisons and conversions raised must not reach np.errstate. */
static void forget_float_errors(void)
{
    feclearexcept(FE_ALL_EXCEPT);
}

/* `zero` is the symbol of NaN. */
static void quantize_chunks(const struct passes *p, const char *x, npy_intp x_step,
                            enum lwfc_dtype dtype, npy_intp n, const float *thresholds, int count,
                            int zero, char *q, npy_intp q_step)
{
    float values[CHUNK];
    uint8_t symbols[CHUNK];
    for (npy_intp i = 0; i < n; i += CHUNK) {
        const npy_intp m = n - i < CHUNK ? n - i : CHUNK;
        p->convert->load(x + i * x_step, x_step, dtype, (size_t)m, values);
        p->quantize->quantize(values, (size_t)m, thresholds, count, symbols);
        if (zero > 0 && p->quantize->has_nonfinite(values, (size_t)m)) {
            for (npy_intp j = 0; j < m; j++) {
                symbols[j] = isnan(values[j]) ? (uint8_t)zero : symbols[j];
            }
        }
        for (npy_intp j = 0; j < m; j++) {
            q[(i + j) * q_step] = (char)symbols[j];
        }
    }
}

static void dequantize_chunks(const struct passes *p, const char *q, npy_intp q_step, npy_intp n,
                              const float *values, int levels, char *y, npy_intp y_step)
{
    float out[CHUNK];
    uint8_t symbols[CHUNK];
    for (npy_intp i = 0; i < n; i += CHUNK) {
        const npy_intp m = n - i < CHUNK ? n - i : CHUNK;
        for (npy_intp j = 0; j < m; j++) {
            const uint8_t symbol = (uint8_t)q[(i + j) * q_step];
            symbols[j] = symbol < levels ? symbol : (uint8_t)(levels - 1);
        }
        p->quantize->dequantize(symbols, (size_t)m, values, levels, out);
        p->convert->store(out, (size_t)m, LWFC_FLOAT32, y_step, y + i * y_step);
    }
}

/* A uniform quantizer from the operands lo, hi, levels of element i. Bad
 * parameters give one level at lo; the public wrapper refuses them first. */
struct uniform {
    float thresholds[LWFC_LEVELS_MAX], values[LWFC_LEVELS_MAX];
    int levels;
};

static void uniform_at(char *const *args, npy_intp const *steps, npy_intp i, struct uniform *u)
{
    const float lo = *(const float *)(const void *)(args[1] + i * steps[1]);
    const float hi = *(const float *)(const void *)(args[2] + i * steps[2]);
    const npy_int64 levels = *(const npy_int64 *)(const void *)(args[3] + i * steps[3]);
    u->levels = levels >= 2 && levels <= LWFC_LEVELS_MAX ? (int)levels : 1;
    if (u->levels == 1 ||
        lwfc_quantizer_uniform(lo, hi, u->levels, u->thresholds, u->values) != LWFC_OK) {
        u->levels = 1;
        u->values[0] = lo;
    }
}

/* How many elements from i on share the parameters of element i. */
static npy_intp shared_run(char *const *args, npy_intp const *steps, npy_intp i, npy_intp n)
{
    if (steps[1] == 0 && steps[2] == 0 && steps[3] == 0) {
        return n - i;
    }
    npy_intp j = i + 1;
    while (j < n && memcmp(args[1] + i * steps[1], args[1] + j * steps[1], 4) == 0 &&
           memcmp(args[2] + i * steps[2], args[2] + j * steps[2], 4) == 0 &&
           memcmp(args[3] + i * steps[3], args[3] + j * steps[3], 8) == 0) {
        j++;
    }
    return j - i;
}

/* (x, lo, hi, levels) -> symbol; `data` is x's dtype. */
static void quantize_loop(char **args, npy_intp const *dimensions, npy_intp const *steps,
                          void *data)
{
    const struct passes p = passes_now();
    const enum lwfc_dtype dtype = *(const enum lwfc_dtype *)data;
    struct uniform u;
    for (npy_intp i = 0, run; i < dimensions[0]; i += run) {
        run = shared_run(args, steps, i, dimensions[0]);
        uniform_at(args, steps, i, &u);
        quantize_chunks(&p, args[0] + i * steps[0], steps[0], dtype, run, u.thresholds,
                        u.levels - 1, lwfc_quantizer_zero(u.values, u.levels), args[4] + i * steps[4], steps[4]);
    }
    forget_float_errors();
}

/* (symbol, lo, hi, levels) -> value. */
static void dequantize_loop(char **args, npy_intp const *dimensions, npy_intp const *steps,
                            void *data)
{
    (void)data;
    const struct passes p = passes_now();
    struct uniform u;
    for (npy_intp i = 0, run; i < dimensions[0]; i += run) {
        run = shared_run(args, steps, i, dimensions[0]);
        uniform_at(args, steps, i, &u);
        dequantize_chunks(&p, args[0] + i * steps[0], steps[0], run, u.values, u.levels,
                          args[4] + i * steps[4], steps[4]);
    }
}

/* The table operand of a gufunc, adjacent; at most LWFC_LEVELS_MAX entries (the
 * wrapper refuses more). */
static int gather_table(const char *table, npy_intp step, npy_intp n, float *out)
{
    const int count = n < LWFC_LEVELS_MAX ? (int)n : LWFC_LEVELS_MAX;
    for (int k = 0; k < count; k++) {
        memcpy(&out[k], table + k * step, sizeof *out);
    }
    return count;
}

/* (x), (t thresholds) -> symbol. */
static void digitize_loop(char **args, npy_intp const *dimensions, npy_intp const *steps,
                          void *data)
{
    const struct passes p = passes_now();
    const enum lwfc_dtype dtype = *(const enum lwfc_dtype *)data;
    float thresholds[LWFC_LEVELS_MAX];
    npy_intp run = steps[1] == 0 ? dimensions[0] : 1;
    for (npy_intp i = 0; i < dimensions[0]; i += run) {
        int count = gather_table(args[1] + i * steps[1], steps[3], dimensions[1], thresholds);
        count = count < LWFC_LEVELS_MAX ? count : LWFC_LEVELS_MAX - 1;
        quantize_chunks(&p, args[0] + i * steps[0], steps[0], dtype, run, thresholds, count, 0,
                        args[2] + i * steps[2], steps[2]);
    }
    forget_float_errors();
}

/* (symbol), (n values) -> value. */
static void lookup_loop(char **args, npy_intp const *dimensions, npy_intp const *steps, void *data)
{
    (void)data;
    const struct passes p = passes_now();
    float values[LWFC_LEVELS_MAX];
    const npy_intp run = steps[1] == 0 ? dimensions[0] : 1;
    for (npy_intp i = 0; i < dimensions[0]; i += run) {
        values[0] = 0; /* an empty table is refused by the wrapper */
        const int count = gather_table(args[1] + i * steps[1], steps[3], dimensions[1], values);
        const int levels = count > 0 ? count : 1;
        dequantize_chunks(&p, args[0] + i * steps[0], steps[0], run, values, levels,
                          args[2] + i * steps[2], steps[2]);
    }
}

static const enum lwfc_dtype dtype_half = LWFC_FLOAT16, dtype_float = LWFC_FLOAT32,
                             dtype_double = LWFC_FLOAT64;
/* NumPy wants mutable pointers and writes through none of them. */
#define DATA(dtype) ((void *)(uintptr_t)&(dtype))

static PyUFuncGenericFunction quantize_loops[] = {quantize_loop, quantize_loop, quantize_loop};
static PyUFuncGenericFunction digitize_loops[] = {digitize_loop, digitize_loop, digitize_loop};
static PyUFuncGenericFunction dequantize_loops[] = {dequantize_loop};
static PyUFuncGenericFunction lookup_loops[] = {lookup_loop};
static void *dtype_data[3];
static void *no_data[1];
static const char quantize_types[] = {
    NPY_HALF,   NPY_FLOAT, NPY_FLOAT, NPY_INT64, NPY_UINT8, NPY_FLOAT, NPY_FLOAT, NPY_FLOAT,
    NPY_INT64,  NPY_UINT8, NPY_DOUBLE, NPY_FLOAT, NPY_FLOAT, NPY_INT64, NPY_UINT8};
static const char dequantize_types[] = {NPY_UINT8, NPY_FLOAT, NPY_FLOAT, NPY_INT64, NPY_FLOAT};
static const char digitize_types[] = {NPY_HALF,  NPY_FLOAT, NPY_UINT8,  NPY_FLOAT, NPY_FLOAT,
                                      NPY_UINT8, NPY_DOUBLE, NPY_FLOAT, NPY_UINT8};
static const char lookup_types[] = {NPY_UINT8, NPY_FLOAT, NPY_FLOAT};

static int add_object(PyObject *module, const char *name, PyObject *object)
{
    if (object == NULL || PyModule_AddObject(module, name, object) < 0) {
        Py_XDECREF(object);
        return -1;
    }
    return 0;
}

static int add_ufuncs(PyObject *module)
{
    dtype_data[0] = DATA(dtype_half);
    dtype_data[1] = DATA(dtype_float);
    dtype_data[2] = DATA(dtype_double);
    if (add_object(module, "quantize",
                   PyUFunc_FromFuncAndData(quantize_loops, dtype_data, quantize_types, 3, 4, 1,
                                           PyUFunc_None, "quantize", "(x, lo, hi, levels)", 0)) ||
        add_object(module, "dequantize",
                   PyUFunc_FromFuncAndData(dequantize_loops, no_data, dequantize_types, 1, 4, 1,
                                           PyUFunc_None, "dequantize", "(q, lo, hi, levels)", 0)) ||
        add_object(module, "digitize",
                   PyUFunc_FromFuncAndDataAndSignature(digitize_loops, dtype_data, digitize_types,
                                                       3, 2, 1, PyUFunc_None, "digitize",
                                                       "(x, thresholds)", 0, "(),(t)->()")) ||
        add_object(module, "lookup",
                   PyUFunc_FromFuncAndDataAndSignature(lookup_loops, no_data, lookup_types, 1, 2, 1,
                                                       PyUFunc_None, "lookup", "(q, values)", 0,
                                                       "(),(n)->()"))) {
        return -1;
    }
    return 0;
}

static PyObject *py_moments(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    static char *names[] = {"x", "num_threads", NULL};
    PyObject *object;
    int num_threads = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|i", names, &object, &num_threads)) {
        return NULL;
    }
    PyArrayObject *array = lwfc_py_array(object);
    struct lwfc_tensor tensor;
    if (array == NULL || lwfc_py_tensor(array, &tensor) < 0) {
        Py_XDECREF((PyObject *)array);
        return NULL;
    }
    struct lwfc_moments m;
    enum lwfc_status status;
    Py_BEGIN_ALLOW_THREADS
    status = lwfc_measure(&tensor, num_threads, &m);
    Py_END_ALLOW_THREADS
    Py_DECREF(array);
    if (status != LWFC_OK) {
        return lwfc_py_raise(status);
    }
    return Py_BuildValue("{s:K,s:K,s:K,s:d,s:d,s:d,s:d,s:d}", "count",
                         (unsigned long long)m.count, "nonfinite", (unsigned long long)m.nonfinite,
                         "zeros", (unsigned long long)m.zeros, "min", m.min, "max", m.max, "sum",
                         m.sum, "sum_squares", m.sum_squares, "sum_magnitudes", m.sum_magnitudes);
}

static PyObject *py_cpu(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    return PyUnicode_FromString(lwfc_cpu_name(lwfc_cpu_features()));
}

static PyObject *py_limit_cpu(PyObject *self, PyObject *args)
{
    (void)self;
    const char *name;
    if (!PyArg_ParseTuple(args, "z", &name)) {
        return NULL;
    }
    if (lwfc_cpu_limit(name) != 0) {
        return PyErr_Format(PyExc_ValueError, "no SIMD level named %s", name);
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"moments", (PyCFunction)(void (*)(void))py_moments, METH_VARARGS | METH_KEYWORDS, NULL},
    {"cpu", py_cpu, METH_NOARGS, NULL},
    {"limit_cpu", py_limit_cpu, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL}};

int lwfc_py_add_stages(PyObject *module)
{
    return add_ufuncs(module) < 0 ? -1 : PyModule_AddFunctions(module, methods);
}
