/* The smallest host of VapourSynth, without Python: loads the plugin, calls it, and prints what the
 * plugin answers. `host PLUGIN VAPOURSYNTH_LIBRARY`, for any platform that zig compiles for; without
 * VapourSynth the plugin is loaded and no more. */
#include <stdio.h>
#include <VapourSynth4.h>

#ifdef _WIN32
#include <windows.h>
static void *symbol(const char *library, const char *name) {
    HMODULE module = LoadLibraryExA(library, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
    if (!module) {
        printf("%s: LoadLibrary failed with %lu\n", library, GetLastError());
        return NULL;
    }
    return (void *)GetProcAddress(module, name);
}
#else
#include <dlfcn.h>
static void *symbol(const char *library, const char *name) {
    void *module = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        printf("%s\n", dlerror());
        return NULL;
    }
    return dlsym(module, name);
}
#endif

typedef const VSAPI *(VS_CC *GetApi)(int version);

int main(int count, char **arguments) {
    if (count < 2) {
        puts("host PLUGIN VAPOURSYNTH_LIBRARY");
        return 2;
    }
    if (!symbol(arguments[1], "VapourSynthPluginInit2"))
        return 3;
    if (count == 2) {
        puts("loaded");
        return 0;
    }
    GetApi get_api = (GetApi)symbol(arguments[2], "getVapourSynthAPI");
    if (!get_api)
        return 4;
    const VSAPI *vsapi = get_api(VAPOURSYNTH_API_VERSION);
    VSCore *core = vsapi->createCore(ccfDisableAutoLoading);
    VSMap *in = vsapi->createMap();
    vsapi->mapSetData(in, "path", arguments[1], -1, dtUtf8, maReplace);
    VSMap *out = vsapi->invoke(vsapi->getPluginByNamespace("std", core), "LoadPlugin", in);
    if (vsapi->mapGetError(out)) {
        puts(vsapi->mapGetError(out));
        return 1;
    }
    vsapi->freeMap(out);
    vsapi->clearMap(in);
    VSMap *clip = vsapi->invoke(vsapi->getPluginByNamespace("std", core), "BlankClip", in);
    out = vsapi->invoke(vsapi->getPluginByNamespace("animesr", core), "Upscale", clip);
    puts(vsapi->mapGetError(out));
    vsapi->freeMap(out);
    vsapi->freeMap(clip);
    vsapi->freeMap(in);
    vsapi->freeCore(core);
    return 0;
}
