/* The door through which VapourSynth finds a filter written in Python.
 *
 * VapourSynth registers a namespace only from a shared library. This one registers the plugin's
 * functions and, when one is called, asks the process for its CPython, imports
 * `vsanimesr.vs.entry` and calls `create` there. Nothing is linked against Python: vspipe and
 * other hosts load libpython themselves, with its symbols visible to all (VSScript does, so that
 * Python's own extension modules resolve), and a Python host brings it along.
 *
 * It also stands between VapourSynth's worker threads and the Python callbacks: once the
 * interpreter shuts down, nothing may enter it any more, or the host would crash.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
/* K32EnumProcessModules lives in kernel32 itself since Windows 7. */
#include <psapi.h>
#define SHARED __declspec(dllexport)
static void pause_ms(void) { Sleep(1); }
#else
#include <dlfcn.h>
#include <time.h>
#define SHARED __attribute__((visibility("default")))
static void pause_ms(void) { nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); }
#endif

#include "VapourSynth4.h"

#if !defined ANIMESR_VERSION || !defined ANIMESR_VERSION_NUMBER
#error "compile with ANIMESR_VERSION and ANIMESR_VERSION_NUMBER defined, as hatch_build.py does"
#endif

#define MODULE "vsanimesr.vs.entry"

/* ---- CPython, found in the process; stable ABI only ---- */

typedef void PyObject;

static struct {
    int (*is_initialized)(void);
    int (*ensure)(void);
    void (*release)(int);
    PyObject *(*import_module)(const char *);
    PyObject *(*call_method)(PyObject *, const char *, const char *, ...);
    PyObject *(*raised)(void);
    int (*matches)(PyObject *, PyObject *);
    PyObject **exception;
    PyObject *(*frame)(void);
    unsigned long (*thread)(void);
    int (*raise_in)(unsigned long, PyObject *);
    void (*clear)(void);
    PyObject *(*type)(PyObject *);
    PyObject *(*attribute)(PyObject *, const char *);
    PyObject *(*str)(PyObject *);
    const char *(*utf8)(PyObject *, ptrdiff_t *);
    void (*decref)(PyObject *);
} py;

#ifdef _WIN32
static void *symbol(const char *name) {
    HMODULE modules[1024];
    DWORD bytes = 0;
    if (!K32EnumProcessModules(GetCurrentProcess(), modules, sizeof modules, &bytes))
        return NULL;
    size_t count = bytes / sizeof *modules;
    if (count > sizeof modules / sizeof *modules)
        count = sizeof modules / sizeof *modules;
    for (size_t i = 0; i < count; i++) {
        FARPROC found = GetProcAddress(modules[i], name);
        if (found)
            return (void *)found;
    }
    return NULL;
}
#else
static void *symbol(const char *name) { return dlsym(RTLD_DEFAULT, name); }
#endif

/* Whether all of CPython that is needed here is in the process. Calling it twice at once is
 * harmless: both find the same. */
static int find_python(void) {
    const struct {
        void *slot;
        const char *name;
    } wanted[] = {
        {&py.is_initialized, "Py_IsInitialized"},
        {&py.release, "PyGILState_Release"},
        {&py.import_module, "PyImport_ImportModule"},
        {&py.call_method, "PyObject_CallMethod"},
        {&py.raised, "PyErr_GetRaisedException"}, /* since 3.12, the oldest supported */
        {&py.matches, "PyErr_GivenExceptionMatches"},
        {&py.exception, "PyExc_Exception"},
        {&py.frame, "PyEval_GetFrame"},
        {&py.thread, "PyThread_get_thread_ident"},
        {&py.raise_in, "PyThreadState_SetAsyncExc"},
        {&py.clear, "PyErr_Clear"},
        {&py.type, "PyObject_Type"},
        {&py.attribute, "PyObject_GetAttrString"},
        {&py.str, "PyObject_Str"},
        {&py.utf8, "PyUnicode_AsUTF8AndSize"},
        {&py.decref, "Py_DecRef"},
        {&py.ensure, "PyGILState_Ensure"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *found = symbol(wanted[i].name);
        if (!found)
            return 0;
        memcpy(wanted[i].slot, &found, sizeof found);
    }
    return 1;
}

/* ---- the gate ---- */

static VSFilterGetFrame python_get_frame;
static VSFilterFree python_free;
static atomic_int closed;
static atomic_int inside;

/* Counted in before `closed` is read, and `closed` is set before the count is read: with the
 * sequentially consistent order of these atomics one of the two sees the other. */
static int enter(void) {
    atomic_fetch_add(&inside, 1);
    if (!atomic_load(&closed))
        return 1;
    atomic_fetch_sub(&inside, 1);
    return 0;
}

static void leave(void) { atomic_fetch_sub(&inside, 1); }

/* Python hands over its callbacks, before the first node is made. */
SHARED void animesr_bind(VSFilterGetFrame get_frame, VSFilterFree free_instance) {
    python_get_frame = get_frame;
    python_free = free_instance;
}

SHARED const VSFrame *VS_CC animesr_get_frame(int n, int reason, void *instance, void **frame_data,
                                              VSFrameContext *context, VSCore *core,
                                              const VSAPI *vsapi) {
    if (!enter()) {
        if (reason != arError)
            vsapi->setFilterError("Upscale: the Python interpreter is shutting down", context);
        return NULL;
    }
    const VSFrame *frame =
        python_get_frame(n, reason, instance, frame_data, context, core, vsapi);
    leave();
    return frame;
}

/* After closing, the Python object is left to the end of the process; what it held of VapourSynth
 * has been given back by then. */
SHARED void VS_CC animesr_free(void *instance, VSCore *core, const VSAPI *vsapi) {
    if (enter()) {
        python_free(instance, core, vsapi);
        leave();
    }
}

/* Let nobody into Python any more and wait until all are out, at most so long. The calls still
 * inside then. To be called without the GIL, for those inside need it. */
SHARED int animesr_close(int milliseconds) {
    atomic_store(&closed, 1);
    while (atomic_load(&inside) && milliseconds-- > 0)
        pause_ms();
    return atomic_load(&inside);
}

SHARED const char *animesr_version(void) { return ANIMESR_VERSION; }

/* ---- frames asked for ahead ---- */

/* Requests of their own, so that one that fails or does not come concerns no other. Their frames
 * stay in the node's cache. No Python runs here, so they may come back when there is none left. */
enum { AT_ONCE = 4, FREE = -1 };

typedef struct {
    const VSAPI *vsapi;
    VSNode *node;
    atomic_int pending[AT_ONCE]; /* frames asked for that have not come yet, or FREE */
    atomic_int holders;          /* of this struct: the filter, and each pending request */
} Ahead;

static void let_go(Ahead *ahead) {
    if (atomic_fetch_sub(&ahead->holders, 1) == 1) {
        ahead->vsapi->freeNode(ahead->node);
        free(ahead);
    }
}

/* Put `to` where `from` is; whether it was anywhere. */
static int replace(Ahead *ahead, int from, int to) {
    for (int i = 0; i < AT_ONCE; i++) {
        int expected = from;
        if (atomic_compare_exchange_strong(&ahead->pending[i], &expected, to))
            return 1;
    }
    return 0;
}

static void VS_CC arrived(void *data, const VSFrame *frame, int n, VSNode *node,
                          const char *error) {
    Ahead *ahead = data;
    (void)node, (void)error;
    ahead->vsapi->freeFrame(frame);
    replace(ahead, n, FREE);
    let_go(ahead);
}

/* Takes over the reference to the node. NULL: no memory. */
SHARED void *animesr_ahead_new(VSNode *node, const VSAPI *vsapi) {
    Ahead *ahead = malloc(sizeof *ahead);
    if (ahead) {
        ahead->vsapi = vsapi;
        ahead->node = node;
        for (int i = 0; i < AT_ONCE; i++)
            atomic_init(&ahead->pending[i], FREE);
        atomic_init(&ahead->holders, 1);
    }
    return ahead;
}

/* The i-th of AT_ONCE places: a frame that has not come yet, or -1. */
SHARED int animesr_ahead_pending(void *data, int i) {
    return i < AT_ONCE ? atomic_load(&((Ahead *)data)->pending[i]) : FREE;
}

/* Whether there was a place for it. Not to be called inside a filter's getFrame (VapourSynth4.h). */
SHARED int animesr_ahead_ask(void *data, int n) {
    Ahead *ahead = data;
    if (!replace(ahead, FREE, n))
        return 0;
    atomic_fetch_add(&ahead->holders, 1);
    ahead->vsapi->getFrameAsync(n, ahead->node, arrived, ahead);
    return 1;
}

SHARED void animesr_ahead_free(void *data) { let_go(data); }

/* ---- the plugin's functions ---- */

/* The text of a str, which lives as long as that. */
static const char *text_of(PyObject *str) {
    const char *text = str ? py.utf8(str, NULL) : NULL;
    if (!text)
        py.clear(); /* an exception without text shall not stay behind */
    return text ? text : "?";
}

/* What Python shall raise at the end of a call that ended with this exception; NULL if that is an
 * error like any other.
 *
 * VapourSynth would make an error of KeyboardInterrupt and SystemExit, too, which scripts take for
 * one of the filter. So such a call seems to succeed, with the clip that it was given, and before
 * that can be used the thread gets the exception. It needs a Python frame to be raised in. */
static PyObject *raised_later(PyObject *module, PyObject *error, const VSMap *in, VSMap *out,
                              const VSAPI *vsapi) {
    if (!error || py.matches(error, *py.exception) || !py.frame())
        return NULL;
    int missing = 0;
    VSNode *clip = vsapi->mapGetNode(in, "clip", 0, &missing);
    if (!missing)
        vsapi->mapConsumeNode(out, "clip", clip, maReplace);
    PyObject *kind = module ? py.call_method(module, "again", "O", error) : NULL;
    if (!kind)
        py.clear();
    return kind ? kind : py.type(error);
}

/* The exception as the function's error. */
static void report(PyObject *error, const char *function, VSMap *out, const VSAPI *vsapi) {
    PyObject *type = error ? py.type(error) : NULL;
    PyObject *type_name = type ? py.attribute(type, "__name__") : NULL;
    const char *kind = text_of(type_name);
    PyObject *error_text = error ? py.str(error) : NULL;
    const char *what = text_of(error_text);
    char message[2048];
    snprintf(message, sizeof message,
             "%s: the Python package vsanimesr cannot be used in this host's Python: %s: %s. "
             "Install it there, or run `vsanimesr doctor`",
             function, kind, what);
    vsapi->mapSetError(out, message);
    PyObject *all[] = {error_text, type_name, type};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            py.decref(all[i]);
}

static void VS_CC call(const VSMap *in, VSMap *out, void *name, VSCore *core, const VSAPI *vsapi) {
    const char *function = name;
    char message[256];
    if (!find_python() || !py.is_initialized()) {
        snprintf(message, sizeof message,
                 "%s: there is no running Python 3.12 or newer in this process, and the filter is "
                 "written in Python: use vspipe, a previewer or a Python script",
                 function);
        vsapi->mapSetError(out, message);
        return;
    }
    if (!enter()) {
        snprintf(message, sizeof message, "%s: the Python interpreter is shutting down", function);
        vsapi->mapSetError(out, message);
        return;
    }
    int state = py.ensure();
    PyObject *module = py.import_module(MODULE);
    PyObject *done =
        module ? py.call_method(module, "create", "sKKKK", function, (unsigned long long)(size_t)in,
                                (unsigned long long)(size_t)out, (unsigned long long)(size_t)core,
                                (unsigned long long)(size_t)vsapi)
               : NULL;
    PyObject *error = done ? NULL : py.raised();
    PyObject *later = done ? NULL : raised_later(module, error, in, out, vsapi);
    if (!done && !later)
        report(error, function, out, vsapi);
    PyObject *all[] = {done, error, module};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            py.decref(all[i]);
    if (later) { /* the last thing: no Python code of ours may run from here on */
        py.raise_in(py.thread(), later);
        py.decref(later);
    }
    py.release(state);
    leave();
}

VS_EXTERNAL_API(void) VapourSynthPluginInit2(VSPlugin *plugin, const VSPLUGINAPI *vspapi);

VS_EXTERNAL_API(void) VapourSynthPluginInit2(VSPlugin *plugin, const VSPLUGINAPI *vspapi) {
    vspapi->configPlugin("io.github.vapoursynth_animesr", "animesr",
                         "AnimeSR " ANIMESR_VERSION ": recurrent x4 upscaling of animation",
                         ANIMESR_VERSION_NUMBER, VAPOURSYNTH_API_VERSION, 0, plugin);
    /* Defaults and limits: vsanimesr/options.py. A test keeps this line and that file alike. */
    vspapi->registerFunction("Upscale",
                             "clip:vnode;"
                             "model:data:opt;"
                             "scale:float:opt;"
                             "backend:data:opt;"
                             "device:data:opt;"
                             "precision:data:opt;"
                             "providers:data:opt;"
                             "format:int:opt;"
                             "dither:int:opt;"
                             "block:int:opt;"
                             "warmup:int:opt;"
                             "scenes:int:opt;"
                             "dedup:float:opt;"
                             "prefetch:int:opt;"
                             "cache:int:opt;"
                             "strips:int:opt;"
                             "memory:int:opt;"
                             "compile:int:opt;"
                             "matrix:int:opt;"
                             "range:int:opt;",
                             "clip:vnode;", call, "Upscale", plugin);
    vspapi->registerFunction("Version", "", "any", call, "Version", plugin);
}
