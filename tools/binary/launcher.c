/* The program that `make binary` makes: an embedded interpreter that finds its modules in its own file.

   In: its own file, at whose end tools/binary/pack.py has put the modules, the native libraries and a trailer
   (see the layout in pack.py). Out: Python, which runs tools/binary/loader.py.

   What must hold: nothing of the machine's Python is used (no environment variable, no site-packages), nothing is
   unpacked to a file unless there is no other way (loader.py), and /proc need not be mounted. */
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frozen.h" /* FROZEN_TABLE: the codec modules that the start needs, and the loader */

static char own_path[4096];
static int own_file = -1;
static const unsigned char *content;
static size_t content_size;

/* For libexpat: the C library has it only since glibc 2.36, and nothing else here needs one so new. */
void arc4random_buf(void *buffer, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t got = getrandom((char *)buffer + done, size - done, 0);
        if (got > 0)
            done += (size_t)got;
        else if (errno != EINTR)
            abort();
    }
}

/* Opens and maps the file that is running. /proc/self/exe is right even after a rename; without /proc there is
   the name that execve was given. */
static int open_own_file(void) {
    const char *executed = (const char *)getauxval(AT_EXECFN);
    ssize_t length = readlink("/proc/self/exe", own_path, sizeof own_path - 1);
    struct stat status;
    if (length > 0) {
        own_path[length] = 0;
        own_file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    }
    if (own_file < 0 && executed != NULL) {
        own_file = open(executed, O_RDONLY | O_CLOEXEC);
        if (realpath(executed, own_path) == NULL)
            snprintf(own_path, sizeof own_path, "%s", executed);
    }
    if (own_file < 0 || fstat(own_file, &status) != 0)
        return -1;
    content_size = (size_t)status.st_size;
    content = mmap(NULL, content_size, PROT_READ, MAP_SHARED, own_file, 0);
    return content == MAP_FAILED ? -1 : 0;
}

static PyObject *own_content(PyObject *module, PyObject *unused) {
    return PyMemoryView_FromMemory((char *)content, (Py_ssize_t)content_size, PyBUF_READ);
}

/* load_library(path): a library that others need; it stays loaded. They find it by its name (DT_SONAME). */
static PyObject *load_library(PyObject *module, PyObject *argument) {
    const char *path = PyUnicode_AsUTF8(argument);
    if (path == NULL)
        return NULL;
    if (dlopen(path, RTLD_NOW | RTLD_LOCAL) == NULL)
        return PyErr_Format(PyExc_ImportError, "%s", dlerror());
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"content", own_content, METH_NOARGS, "The file that is running, as a read-only view."},
    {"load_library", load_library, METH_O, "Load a shared library that others need."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_pybroker_binary", NULL, -1, methods};

static PyObject *make_module(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    PyObject *path = PyUnicode_DecodeFSDefault(own_path);
    if (path == NULL || PyModule_AddObject(module, "path", path) < 0 ||
        PyModule_AddIntConstant(module, "file", own_file) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}

/* `typing` insists on this extension module, which has one function: with it here, the command line itself needs
   no native library. */
static PyObject *same(PyObject *module, PyObject *argument) { return Py_NewRef(argument); }

static PyMethodDef typing_methods[] = {{"_idfunc", same, METH_O, NULL}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef typing_definition = {PyModuleDef_HEAD_INIT, "_typing", NULL, -1, typing_methods};

static PyObject *make_typing(void) { return PyModule_Create(&typing_definition); }

static void fail(PyStatus status) {
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

int main(int argc, char **argv) {
    if (open_own_file() != 0) {
        fprintf(stderr, "pybroker: cannot read its own file: %s\n", strerror(errno));
        return 1;
    }
    PyPreConfig preconfig;
    PyPreConfig_InitIsolatedConfig(&preconfig);
    preconfig.utf8_mode = 1;
    fail(Py_PreInitialize(&preconfig));

    PyImport_FrozenModules = FROZEN_TABLE;
    if (PyImport_AppendInittab("_pybroker_binary", make_module) != 0 || PyImport_AppendInittab("_typing", make_typing) != 0)
        return 1;

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.install_signal_handlers = 1;
    config.site_import = 0;
    config.write_bytecode = 0;
    config.pathconfig_warnings = 0;
    config.parse_argv = 0;
    config.module_search_paths_set = 1;
    fail(PyConfig_SetBytesString(&config, &config.executable, own_path));
    fail(PyConfig_SetBytesString(&config, &config.program_name, own_path));
    fail(PyConfig_SetBytesString(&config, &config.home, "/"));
    fail(PyConfig_SetBytesString(&config, &config.prefix, own_path));
    fail(PyConfig_SetBytesString(&config, &config.exec_prefix, own_path));
    fail(PyConfig_SetBytesString(&config, &config.base_prefix, own_path));
    fail(PyConfig_SetBytesString(&config, &config.base_exec_prefix, own_path));
    fail(PyConfig_SetBytesArgv(&config, argc, argv));
    fail(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);

    /* Not Py_RunMain with a module: that would import runpy and the like. */
    PyObject *loader = PyImport_ImportModule("_pybroker_loader");
    PyObject *result = loader == NULL ? NULL : PyObject_CallMethod(loader, "run", NULL);
    int exit_status = 0;
    if (result == NULL) {
        PyErr_Print(); /* SystemExit ends the process here, with its status */
        exit_status = 1;
    }
    Py_XDECREF(result);
    Py_XDECREF(loader);
    if (Py_FinalizeEx() < 0)
        exit_status = 120;
    return exit_status;
}
