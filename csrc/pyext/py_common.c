#include "pyext/pyext.h"

static PyObject *exception_named(const char *name)
{
    PyObject *errors = PyImport_ImportModule("lwfc.base.errors");
    if (errors == NULL) {
        return NULL;
    }
    PyObject *exception = PyObject_GetAttrString(errors, name);
    Py_DECREF(errors);
    return exception;
}

static PyObject *raise_named(const char *name, enum lwfc_status status)
{
    if (status == LWFC_ERROR_MEMORY) {
        return PyErr_NoMemory();
    }
    PyObject *exception = exception_named(name);
    if (exception != NULL) {
        PyErr_SetString(exception, lwfc_status_text(status));
        Py_DECREF(exception);
    }
    return NULL;
}

PyObject *lwfc_py_raise(enum lwfc_status status)
{
    return raise_named(status >= LWFC_ERROR_MAGIC ? "FormatError" : "ParameterError", status);
}

PyObject *lwfc_py_raise_parameter(enum lwfc_status status)
{
    return raise_named("ParameterError", status);
}

int lwfc_py_tensor(PyArrayObject *array, struct lwfc_tensor *tensor)
{
    switch (PyArray_TYPE(array)) {
    case NPY_FLOAT:
        tensor->dtype = LWFC_TYPE_FLOAT32;
        break;
    case NPY_HALF:
        tensor->dtype = LWFC_TYPE_FLOAT16;
        break;
    case NPY_USHORT:
        tensor->dtype = LWFC_TYPE_BFLOAT16;
        break;
    case NPY_DOUBLE:
        tensor->dtype = LWFC_TYPE_FLOAT64;
        break;
    case NPY_BYTE:
        tensor->dtype = LWFC_TYPE_INT8;
        break;
    case NPY_UBYTE:
        tensor->dtype = LWFC_TYPE_UINT8;
        break;
    default:
        PyErr_SetString(PyExc_TypeError, "lwfc codes float16, bfloat16, float32, float64, int8 "
                                         "and uint8 tensors");
        return -1;
    }
    if (PyArray_NDIM(array) > LWFC_RANK_MAX) {
        lwfc_py_raise(LWFC_ERROR_SHAPE);
        return -1;
    }
    tensor->data = PyArray_DATA(array);
    tensor->rank = PyArray_NDIM(array);
    for (int i = 0; i < tensor->rank; i++) {
        tensor->shape[i] = PyArray_DIM(array, i);
        tensor->strides[i] = PyArray_STRIDE(array, i);
    }
    return 0;
}

PyArrayObject *lwfc_py_array(PyObject *object)
{
    return (PyArrayObject *)PyArray_FROM_OF(object, NPY_ARRAY_ALIGNED | NPY_ARRAY_NOTSWAPPED);
}
