/* The shared library that VapourSynth needs to have a namespace `animesr`. It holds no filter: a
 * call goes to `create` in vsanimesr/vs/plugin.py, and a frame request to the callback that Python
 * has handed over, as long as the interpreter is alive.
 *
 * Nothing here links against Python, so that one binary serves every version and a host without
 * Python can still load it. The interpreter is found in the process instead:
 *   - POSIX: by dlsym. vspipe and other VSScript hosts open libpython with RTLD_GLOBAL (VapourSynth
 *     R81), a Python host has it in the executable or among its libraries. It must be so, as
 *     extension modules such as numpy's look their Python symbols up in the same scope.
 *   - Windows: by asking every loaded module, python3.dll and python3XX.dll among them.
 * Only functions of the stable ABI are used. */

#ifndef _WIN32
#define _GNU_SOURCE /* RTLD_DEFAULT */
#endif

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <VapourSynth4.h>

#ifdef _WIN32
#define PSAPI_VERSION 2 /* EnumProcessModules from kernel32 */
#include <windows.h>
#include <psapi.h>
#else
#include <dlfcn.h>
#include <time.h>
#endif

#ifndef ANIMESR_VERSION
#error "compile with -DANIMESR_VERSION=\"1.2.3\", as hatch_build.py does"
#endif
#ifndef ANIMESR_VERSION_NUMBER
#error "compile with -DANIMESR_VERSION_NUMBER=VS_MAKE_VERSION(1,2), as hatch_build.py does"
#endif

/* ---- The Python in this process ---- */

typedef struct PyObject PyObject;

#define PYTHON_FUNCTIONS(X)                                                            \
    X(int, Py_IsInitialized, (void))                                                   \
    X(int, PyGILState_Ensure, (void))                                                  \
    X(void, PyGILState_Release, (int))                                                 \
    X(PyObject *, PyImport_ImportModule, (const char *))                               \
    X(PyObject *, PyObject_CallMethod, (PyObject *, const char *, const char *, ...))  \
    X(PyObject *, PyErr_GetRaisedException, (void)) /* Python 3.12 */                  \
    X(void, PyErr_Clear, (void))                                                       \
    X(PyObject *, PyObject_Type, (PyObject *))                                         \
    X(PyObject *, PyObject_GetAttrString, (PyObject *, const char *))                  \
    X(PyObject *, PyObject_Str, (PyObject *))                                          \
    X(const char *, PyUnicode_AsUTF8AndSize, (PyObject *, ptrdiff_t *))                \
    X(void, Py_DecRef, (PyObject *)) /* takes NULL */

typedef struct Python {
#define DECLARE(result, name, arguments) result (*name) arguments;
    PYTHON_FUNCTIONS(DECLARE)
#undef DECLARE
} Python;

static void *find_symbol(const char *name) {
#ifdef _WIN32
    HMODULE modules[4096];
    DWORD bytes = 0;
    if (!EnumProcessModules(GetCurrentProcess(), modules, sizeof modules, &bytes))
        return NULL;
    size_t count = (bytes < sizeof modules ? bytes : sizeof modules) / sizeof *modules;
    for (size_t i = 0; i < count; i++) {
        FARPROC found = GetProcAddress(modules[i], name);
        if (found)
            return (void *)found;
    }
    return NULL;
#else
    return dlsym(RTLD_DEFAULT, name);
#endif
}

/* False if the process has no running Python 3.12 or later. */
static bool find_python(Python *py) {
    void *found;
#define FIND(result, name, arguments)              \
    if (!(found = find_symbol(#name)))             \
        return false;                              \
    memcpy(&py->name, &found, sizeof found); /* ISO C has no cast from data to function pointer */
    PYTHON_FUNCTIONS(FIND)
#undef FIND
    return py->Py_IsInitialized();
}

/* Appends what text of the object there is; the caller owns the reference still. */
static void append_text(const Python *py, PyObject *text, char *to, size_t size) {
    const char *utf8 = text ? py->PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
    if (!utf8)
        py->PyErr_Clear();
    size_t used = strlen(to);
    snprintf(to + used, size - used, "%s", utf8 ? utf8 : "?");
}

/* Takes the raised exception away and writes it as "ImportError: No module named ...". */
static void describe_exception(const Python *py, char *to, size_t size) {
    *to = '\0';
    PyObject *error = py->PyErr_GetRaisedException();
    if (!error)
        return;
    PyObject *type = py->PyObject_Type(error);
    PyObject *name = type ? py->PyObject_GetAttrString(type, "__name__") : NULL;
    PyObject *text = py->PyObject_Str(error);
    append_text(py, name, to, size);
    snprintf(to + strlen(to), size - strlen(to), ": ");
    append_text(py, text, to, size);
    py->Py_DecRef(text);
    py->Py_DecRef(name);
    py->Py_DecRef(type);
    py->Py_DecRef(error);
}

/* ---- The gate: no callback enters an interpreter that shuts down ----
 *
 * A host may free its nodes, or wait for its last frames, after Python has been finalised; to enter
 * a ctypes callback then would crash it. */

static _Atomic(VSFilterGetFrame) python_get_frame;
static _Atomic(VSFilterFree) python_free;
static atomic_int inside; /* threads that are in Python, or about to find the gate closed */
static atomic_bool closed;

static const char SHUTTING_DOWN[] = "the Python interpreter is shutting down";

/* Counts first and asks afterwards: whoever closes the gate either is seen here, or sees us. Both
 * sides need the sequential consistency that C11 atomics have by default. */
static bool enter(void) {
    atomic_fetch_add(&inside, 1);
    if (!atomic_load(&closed))
        return true;
    atomic_fetch_sub(&inside, 1);
    return false;
}

static void leave(void) {
    atomic_fetch_sub(&inside, 1);
}

static void sleep_millisecond(void) {
#ifdef _WIN32
    Sleep(1);
#else
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
#endif
}

/* Python hands its two callbacks over, once, before it creates its first node. */
VS_EXTERNAL_API(void) animesr_bind(VSFilterGetFrame get_frame, VSFilterFree free_node) {
    atomic_store(&python_get_frame, get_frame);
    atomic_store(&python_free, free_node);
}

/* The VSFilterGetFrame of every node. */
VS_EXTERNAL_API(const VSFrame *) animesr_get_frame(
    int n, int activation, void *instance, void **frame_data, VSFrameContext *context, VSCore *core,
    const VSAPI *vsapi) {
    if (!enter()) {
        if (activation != arError) {
            char message[80];
            snprintf(message, sizeof message, "Upscale: %s", SHUTTING_DOWN);
            vsapi->setFilterError(message, context);
        }
        return NULL;
    }
    const VSFrame *frame = atomic_load(&python_get_frame)(
        n, activation, instance, frame_data, context, core, vsapi);
    leave();
    return frame;
}

/* The VSFilterFree of every node. Once the gate is closed the instance, a Python object, is leaked
 * on purpose: the process ends, and Python has released the nodes that the instance held. */
VS_EXTERNAL_API(void) animesr_free(void *instance, VSCore *core, const VSAPI *vsapi) {
    if (!enter())
        return;
    atomic_load(&python_free)(instance, core, vsapi);
    leave();
}

/* Lets nobody in any more, and waits until everybody is out or the time is over. To be called
 * without the GIL, which those inside need to get out. Gives the number of those still inside. */
VS_EXTERNAL_API(int) animesr_close(int milliseconds) {
    atomic_store(&closed, true);
    for (; atomic_load(&inside) && milliseconds > 0; milliseconds--)
        sleep_millisecond();
    return atomic_load(&inside);
}

VS_EXTERNAL_API(const char *) animesr_version(void) {
    return ANIMESR_VERSION;
}

/* ---- The functions of the namespace ---- */

static void call_python(
    const char *function, const VSMap *in, VSMap *out, VSCore *core, const VSAPI *vsapi,
    char *error, size_t size) {
    Python py;
    if (!find_python(&py)) {
        snprintf(error, size,
                 "no running Python in this process, wanted Python 3.12 or later: use vspipe, "
                 "another host of VapourSynth scripts, or Python itself");
        return;
    }
    int state = py.PyGILState_Ensure();
    PyObject *result = NULL;
    PyObject *module = py.PyImport_ImportModule("vsanimesr.vs.plugin");
    bool imported = module;
    if (imported)
        result = py.PyObject_CallMethod(
            module, "create", "sKKKK", function, (unsigned long long)(uintptr_t)in,
            (unsigned long long)(uintptr_t)out, (unsigned long long)(uintptr_t)core,
            (unsigned long long)(uintptr_t)vsapi);
    if (!result) {
        char text[1024];
        describe_exception(&py, text, sizeof text);
        snprintf(error, size, "%s: %s; wanted vapoursynth-animesr whole in the Python that runs "
                 "here: install it again, or ask `python -m vsanimesr doctor`",
                 imported ? "vsanimesr failed" : "vsanimesr cannot be imported", text);
    }
    py.Py_DecRef(result);
    py.Py_DecRef(module);
    py.PyGILState_Release(state);
}

/* `create` sets result or error itself; what is set here is why it could not be called. */
static void VS_CC call(
    const VSMap *in, VSMap *out, void *function, VSCore *core, const VSAPI *vsapi) {
    char error[1536] = "";
    if (enter()) {
        call_python(function, in, out, core, vsapi, error, sizeof error);
        leave();
    } else {
        snprintf(error, sizeof error, "%s", SHUTTING_DOWN);
    }
    if (*error) {
        char message[1600];
        snprintf(message, sizeof message, "%s: %s", (const char *)function, error);
        vsapi->mapSetError(out, message);
    }
}

VS_EXTERNAL_API(void) VapourSynthPluginInit2(VSPlugin *plugin, const VSPLUGINAPI *vspapi) {
    static char upscale[] = "Upscale", version[] = "Version";
    vspapi->configPlugin("io.github.vapoursynth_animesr", "animesr",
                         "AnimeSR: recurrent upscaling of animation video", ANIMESR_VERSION_NUMBER,
                         VAPOURSYNTH_API_VERSION, 0, plugin);
    /* The options and their order are those of `Options` in vsanimesr/options.py. */
    vspapi->registerFunction(upscale,
                             "clip:vnode;"
                             "model:data:opt;"
                             "scale:float:opt;"
                             "backend:data:opt;"
                             "device:data:opt;"
                             "precision:data:opt;"
                             "format:int:opt;"
                             "block:int:opt;"
                             "warmup:int:opt;"
                             "scenes:int:opt;"
                             "prefetch:int:opt;"
                             "cache:int:opt;"
                             "matrix:int:opt;"
                             "range:int:opt;",
                             "clip:vnode;", call, upscale, plugin);
    /* "any", as the keys depend on the backends that are installed. */
    vspapi->registerFunction(version, "", "any", call, version, plugin);
}
