/* What Python sees of VapourSynth's API 4, read by generate.py (a cffi cdef, not a C header).
 *
 * Structures that end in "...;" are declared in part: the C compiler fills in sizes and offsets from
 * the real headers and refuses a field whose type differs. */

typedef struct VSFrame VSFrame;
typedef struct VSNode VSNode;
typedef struct VSCore VSCore;
typedef struct VSMap VSMap;
typedef struct VSFrameContext VSFrameContext;

typedef struct VSVideoFormat {
    int colorFamily;
    int sampleType;
    int bitsPerSample;
    int bytesPerSample;
    int subSamplingW;
    int subSamplingH;
    int numPlanes;
    ...;
} VSVideoFormat;

typedef struct VSVideoInfo {
    VSVideoFormat format;
    int64_t fpsNum;
    int64_t fpsDen;
    int width;
    int height;
    int numFrames;
    ...;
} VSVideoInfo;

typedef struct VSFilterDependency {
    VSNode *source;
    int requestPattern;
    ...;
} VSFilterDependency;

typedef const VSFrame *(*VSFilterGetFrame)(int n, int activationReason, void *instanceData, void **frameData,
                                           VSFrameContext *frameCtx, VSCore *core, const struct VSAPI *vsapi);
typedef void (*VSFilterFree)(void *instanceData, VSCore *core, const struct VSAPI *vsapi);

typedef struct VSAPI {
    void (*createVideoFilter)(VSMap *out, const char *name, const VSVideoInfo *vi, VSFilterGetFrame getFrame,
                              VSFilterFree free, int filterMode, const VSFilterDependency *dependencies, int numDeps,
                              void *instanceData, VSCore *core);
    void (*freeNode)(VSNode *node);
    const VSVideoInfo *(*getVideoInfo)(VSNode *node);

    VSFrame *(*newVideoFrame)(const VSVideoFormat *format, int width, int height, const VSFrame *propSrc, VSCore *core);
    void (*freeFrame)(const VSFrame *f);
    VSFrame *(*copyFrame)(const VSFrame *f, VSCore *core);
    const VSMap *(*getFramePropertiesRO)(const VSFrame *f);
    VSMap *(*getFramePropertiesRW)(VSFrame *f);
    ptrdiff_t (*getStride)(const VSFrame *f, int plane);
    const uint8_t *(*getReadPtr)(const VSFrame *f, int plane);
    uint8_t *(*getWritePtr)(VSFrame *f, int plane);
    const VSVideoFormat *(*getVideoFrameFormat)(const VSFrame *f);
    int (*getFrameWidth)(const VSFrame *f, int plane);
    int (*getFrameHeight)(const VSFrame *f, int plane);
    int (*getVideoFormatName)(const VSVideoFormat *format, char *buffer);

    const VSFrame *(*getFrameFilter)(int n, VSNode *node, VSFrameContext *frameCtx);
    void (*requestFrameFilter)(int n, VSNode *node, VSFrameContext *frameCtx);
    void (*setFilterError)(const char *errorMessage, VSFrameContext *frameCtx);

    void (*mapSetError)(VSMap *map, const char *errorMessage);
    int (*mapDeleteKey)(VSMap *map, const char *key);
    int (*mapNumElements)(const VSMap *map, const char *key);
    int (*mapGetType)(const VSMap *map, const char *key);
    int64_t (*mapGetInt)(const VSMap *map, const char *key, int index, int *error);
    int (*mapSetInt)(VSMap *map, const char *key, int64_t i, int append);
    double (*mapGetFloat)(const VSMap *map, const char *key, int index, int *error);
    int (*mapSetFloat)(VSMap *map, const char *key, double d, int append);
    const char *(*mapGetData)(const VSMap *map, const char *key, int index, int *error);
    int (*mapGetDataSize)(const VSMap *map, const char *key, int index, int *error);
    int (*mapSetData)(VSMap *map, const char *key, const char *data, int size, int type, int append);
    VSNode *(*mapGetNode)(const VSMap *map, const char *key, int index, int *error);
    const VSFrame *(*mapGetFrame)(const VSMap *map, const char *key, int index, int *error);
    int (*mapConsumeFrame)(VSMap *map, const char *key, const VSFrame *f, int append);

    void (*logMessage)(int msgType, const char *msg, VSCore *core);
    ...;
} VSAPI;

#define fmParallel ...
#define rpGeneral ...
#define arInitial ...
#define arAllFramesReady ...
#define mtInformation ...
#define mtWarning ...
#define maReplace ...
#define ptInt ...
#define ptFloat ...
#define ptData ...
#define dtUtf8 ...

/* Implemented in Python (vsrife/plugin/callbacks.py), called by bridge.c and by VapourSynth's threads. */
extern "Python" {
    void rife_create(const VSMap *in, VSMap *out, VSCore *core, const VSAPI *vsapi);
    const VSFrame *rife_get_frame(int n, int activationReason, void *instanceData, void **frameData,
                                  VSFrameContext *frameCtx, VSCore *core, const VSAPI *vsapi);
    void rife_free(void *instanceData, VSCore *core, const VSAPI *vsapi);
}
