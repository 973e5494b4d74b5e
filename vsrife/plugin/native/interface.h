/* What Python uses of VapourSynth's API 4.3, of frames.c and of measures.c, read by generate.py (a cffi cdef, not a C
 * header).
 *
 * Structures that end in "...;" are declared in part: the C compiler fills in sizes and offsets from
 * the real headers and refuses a field whose type differs. */

typedef struct VSFrame VSFrame;
typedef struct VSNode VSNode;
typedef struct VSCore VSCore;
typedef struct VSMap VSMap;
typedef struct VSFrameContext VSFrameContext;
typedef struct VSPlugin VSPlugin;
typedef struct VSGPUTimeline VSGPUTimeline;
typedef struct VSGPUMemoryReservation VSGPUMemoryReservation;

typedef struct VkDevice_T *VkDevice;
typedef struct VkSemaphore_T *VkSemaphore;

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

/* ---- VSVulkan4.h ---- */

typedef struct VSVulkanCoreHandles {
    VkDevice device;
    ...;
} VSVulkanCoreHandles;

typedef struct VSVulkanFunctions {
    int32_t (*vkGetSemaphoreCounterValue)(VkDevice device, VkSemaphore semaphore, uint64_t *value);
    ...;
} VSVulkanFunctions;

typedef struct VSVulkanCoreInfo {
    char deviceName[256];
    uint8_t deviceUUID[16];
    int exportHandleType;
    int semaphoreExportHandleType;
    ...;
} VSVulkanCoreInfo;

typedef struct VSVulkanPlaneInfo {
    VkSemaphore readySemaphore;
    uint64_t readyValue;
    ...;
} VSVulkanPlaneInfo;

typedef struct VSVulkanExportedMemory {
    uint64_t memoryId;
    uint64_t memorySize;
    uint64_t offset;
    uint64_t size;
    intptr_t handle;
    ...;
} VSVulkanExportedMemory;

typedef struct VSVulkanExportedSemaphore {
    intptr_t handle;
    ...;
} VSVulkanExportedSemaphore;

typedef struct VSVULKANAPI {
    int (*getVulkanCoreInfo)(VSCore *core, VSVulkanCoreInfo *info, char *errorMessage, int errorMessageSize);
    int (*getVulkanHandles)(VSCore *core, VSVulkanCoreHandles *handles, char *errorMessage, int errorMessageSize);
    const VSVulkanFunctions *(*getVulkanFunctions)(VSCore *core, char *errorMessage, int errorMessageSize);

    VSFrame *(*newGPUVideoFrame)(const VSVideoFormat *format, int width, int height, const VSFrame *propSrc,
                                 VSCore *core);
    int (*getGPUPlane)(const VSFrame *frame, int plane, VSVulkanPlaneInfo *info);
    void (*setGPUPlaneProducer)(const VSFrame *frame, int plane, VSGPUTimeline *timeline, uint64_t value);

    VSGPUTimeline *(*createGPUTimeline)(VSCore *core, char *errorMessage, int errorMessageSize);
    void (*freeGPUTimeline)(VSGPUTimeline *timeline);
    VkSemaphore (*getGPUTimelineSemaphore)(VSGPUTimeline *timeline);
    int (*gpuTimelineWaitValue)(VSGPUTimeline *timeline, uint64_t value, char *errorMessage, int errorMessageSize);

    VSGPUMemoryReservation *(*reserveGPUMemory)(VSCore *core, int64_t bytes, char *errorMessage, int errorMessageSize);
    void (*updateGPUMemoryReservation)(VSGPUMemoryReservation *reservation, int64_t bytes);
    void (*releaseGPUMemoryReservation)(VSGPUMemoryReservation *reservation);

    int (*exportGPUPlane)(const VSFrame *frame, int plane, VSVulkanExportedMemory *out, char *errorMessage,
                          int errorMessageSize);
    int (*exportGPUSemaphore)(VSCore *core, VkSemaphore semaphore, VSVulkanExportedSemaphore *out, char *errorMessage,
                              int errorMessageSize);
    int (*waitGPUFrame)(const VSFrame *frame, char *errorMessage, int errorMessageSize);
    const VSFrame *(*getExportableFrameFilter)(int n, VSNode *node, VSFrameContext *frameCtx, char *errorMessage,
                                               int errorMessageSize);
    ...;
} VSVULKANAPI;

/* ---- VapourSynth4.h ---- */

typedef struct VSAPI {
    void (*freeNode)(VSNode *node);
    const VSVideoInfo *(*getVideoInfo)(VSNode *node);

    VSFrame *(*newVideoFrame)(const VSVideoFormat *format, int width, int height, const VSFrame *propSrc, VSCore *core);
    void (*freeFrame)(const VSFrame *f);
    const VSFrame *(*addFrameRef)(const VSFrame *f);
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

    const VSFrame *(*getFrame)(int n, VSNode *node, char *errorMsg, int bufSize);
    const VSFrame *(*getFrameFilter)(int n, VSNode *node, VSFrameContext *frameCtx);
    void (*requestFrameFilter)(int n, VSNode *node, VSFrameContext *frameCtx);
    void (*setFilterError)(const char *errorMessage, VSFrameContext *frameCtx);

    VSMap *(*createMap)(void);
    void (*freeMap)(VSMap *map);
    void (*mapSetError)(VSMap *map, const char *errorMessage);
    const char *(*mapGetError)(const VSMap *map);
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
    int (*mapSetNode)(VSMap *map, const char *key, VSNode *node, int append);
    const VSFrame *(*mapGetFrame)(const VSMap *map, const char *key, int index, int *error);
    int (*mapConsumeFrame)(VSMap *map, const char *key, const VSFrame *f, int append);

    VSPlugin *(*getPluginByID)(const char *identifier, VSCore *core);
    VSMap *(*invoke)(VSPlugin *plugin, const char *name, const VSMap *args);
    int (*getAPIVersion)(void);
    void (*logMessage)(int msgType, const char *msg, VSCore *core);

    void (*createVideoFilterEx)(VSMap *out, const char *name, const VSVideoInfo *vi, VSFilterGetFrame getFrame,
                                VSFilterFree free, int filterMode, int flags, const VSFilterDependency *dependencies,
                                int numDeps, void *instanceData, VSCore *core);
    const VSVULKANAPI *(*getVulkanAPI)(void);
    int (*getNodeResidency)(VSNode *node);
    ...;
} VSAPI;

#define VAPOURSYNTH_API_VERSION ...
#define VS_GPU_IMPORT_CHARGED_AGAIN ...
#define ffGPUOutput ...
#define nrGPU ...
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

/* Defined in measures.c, called by vsrife/plugin/native_measures.py. None returns void, see rife_signature. */
double rife_in_place(const int64_t *left, const int64_t *right, int rows, int columns);
int rife_signature(const uintptr_t *planes, int count, int width, int height, int type, int cell, int peak,
                   int64_t *signature);
double rife_worst_block(const uintptr_t *left, const uintptr_t *right, int count, const int *sizes, int type, int peak);
int rife_is_still(const uintptr_t *left, const uintptr_t *right, int count, const int *sizes, int type,
                  const int64_t *limits);

/* Defined in frames.c, called by vsrife/plugin/vsapi.py. */
#define RIFE_SOURCE_PROPS ...
typedef struct RifeSourceProps {
    int64_t integers[...];
    uint32_t present;
    uint32_t has_alpha;
    double time;
    int has_time;
} RifeSourceProps;

static const char *const rife_source_prop_names[...];
int rife_read_source_props(const VSFrame *frame, RifeSourceProps *found, const VSAPI *vsapi);
int rife_write_output_props(VSFrame *frame, const char *kind, int keeps_type, int64_t numerator, int64_t denominator,
                            int starts, int ends, int has_time, double time, int has_score, double score,
                            const VSAPI *vsapi);
VSFrame *rife_blank_like(const VSFrame *frame, VSCore *core, const VSAPI *vsapi);
int rife_planes(const VSFrame *frame, int write, uintptr_t *planes, const VSAPI *vsapi);
