/* A host that uses VapourSynth without Python: it must be told what is missing, and live. */
#define VS_USE_LATEST_API
#include <VapourSynth4.h>
#include <stdio.h>

int main(void) {
    const VSAPI *vs = getVapourSynthAPI(VAPOURSYNTH_API_VERSION);
    VSCore *core = vs ? vs->createCore(0) : NULL;
    if (!core)
        return 2;
    VSPlugin *std = vs->getPluginByNamespace("std", core), *rife = vs->getPluginByNamespace("rife", core);
    if (!rife) {
        fprintf(stderr, "core.rife is not there\n");
        return 1;
    }
    VSMap *arguments = vs->createMap();
    VSMap *blank = vs->invoke(std, "BlankClip", arguments);
    VSMap *result = vs->invoke(rife, "RIFE", blank);
    printf("%s\n", vs->mapGetError(result) ? vs->mapGetError(result) : "no error");
    vs->freeMap(result);
    vs->freeMap(blank);
    vs->freeMap(arguments);
    vs->freeCore(core);
    return 0;
}
