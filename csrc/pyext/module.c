#define LWFC_PYEXT_MODULE
#include "pyext/pyext.h"

#include <numpy/ufuncobject.h>

static int module_exec(PyObject *module)
{
    import_array1(-1);
    import_umath1(-1);
    lwfc_parallel_watch();
    PyObject *openmp = lwfc_parallel_available() ? Py_True : Py_False;
    Py_INCREF(openmp);
    if (PyModule_AddObject(module, "openmp", openmp) < 0) {
        Py_DECREF(openmp);
        return -1;
    }
    return lwfc_py_add_stages(module) < 0 || lwfc_py_add_codec(module) < 0 ||
                   lwfc_py_add_symbols(module) < 0 || lwfc_py_add_model(module) < 0 ||
                   lwfc_py_add_transform(module) < 0 || lwfc_py_add_fit(module) < 0
               ? -1
               : 0;
}

/* One initialisation per process: NumPy itself refuses sub-interpreters. */
static PyModuleDef_Slot slots[] = {{Py_mod_exec, module_exec},
#ifdef Py_mod_multiple_interpreters
                                   {Py_mod_multiple_interpreters,
                                    Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
                                   {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_core", "The C core of lwfc.", 0, NULL, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}
