/* What the filter does with each frame, in few calls: every call from Python gives the GIL up and takes it again, which
 * costs more than the work of most functions of VapourSynth's API. No rule of the filter is here.
 *
 * Functions without a result return 0, as in measures.c. No reference to a frame is kept. */

enum { RIFE_NAMES = 13 };

/* What rife_read_tags finds. All before the time is the same for most frames of a clip. */
typedef struct RifeTags {
    int64_t integers[RIFE_NAMES];
    uint32_t found; /* bit i: integers[i] is there */
    uint32_t has_alpha;
    double time;
    int has_time;
} RifeTags;

/* The properties that are read of a source frame, in the order of RifeTags.integers. tags.py gives them their meaning. */
static const char *const rife_names[RIFE_NAMES] = {
    "_Matrix", "_ColorSpace", "_Range", "_ColorRange", "_ChromaLocation", "_Transfer", "_Primaries",
    "_FieldBased", "_Field", "_DurationNum", "_DurationDen", "_SceneChangePrev", "_SceneChangeNext",
};

/* Reads a frame's properties. A value that is missing, or of another type, is not found and 0; of several the first
 * counts. time: of a float or an integer. */
static int rife_read_tags(const VSFrame *frame, RifeTags *tags, const VSAPI *api) {
    const VSMap *props = api->getFramePropertiesRO(frame);
    int missing;
    tags->found = 0;
    for (int i = 0; i < RIFE_NAMES; i++) {
        tags->integers[i] = api->mapGetInt(props, rife_names[i], 0, &missing);
        if (missing)
            tags->integers[i] = 0;
        else
            tags->found |= 1u << i;
    }
    tags->has_alpha = api->mapNumElements(props, "_Alpha") > 0;
    tags->time = api->mapGetFloat(props, "_AbsoluteTime", 0, &missing);
    if (missing)
        tags->time = (double)api->mapGetInt(props, "_AbsoluteTime", 0, &missing);
    tags->has_time = !missing;
    return 0;
}

static void set_or_delete(VSMap *props, const char *key, int there, int64_t value, const VSAPI *api) {
    if (there)
        api->mapSetInt(props, key, value, maReplace);
    else
        api->mapDeleteKey(props, key);
}

/* Turns the properties of a source frame into those of an output frame, which nobody else has seen; docs/properties.md.
 * numerator: 0 where there is no duration. starts, ends: whether a scene does, below 0 where nobody can tell. */
static int rife_write_tags(VSFrame *frame, const char *kind, int keeps_type, int64_t numerator, int64_t denominator,
                           int starts, int ends, int has_time, double time, int has_score, double score,
                           const VSAPI *api) {
    VSMap *props = api->getFramePropertiesRW(frame);
    set_or_delete(props, "_DurationNum", numerator > 0, numerator, api);
    set_or_delete(props, "_DurationDen", numerator > 0, denominator, api);
    set_or_delete(props, "_SceneChangePrev", starts >= 0, starts, api);
    set_or_delete(props, "_SceneChangeNext", ends >= 0, ends, api);
    if (!keeps_type)
        api->mapDeleteKey(props, "_PictType");
    if (has_time)
        api->mapSetFloat(props, "_AbsoluteTime", time, maReplace);
    if (has_score)
        api->mapSetFloat(props, "RifeSceneScore", score, maReplace);
    else
        api->mapDeleteKey(props, "RifeSceneScore");
    api->mapSetData(props, "RifeKind", kind, -1, dtUtf8, maReplace);
    return 0;
}

/* A new frame in host memory, of the same format and size and with the same properties, its planes not yet written. */
static VSFrame *rife_blank_like(const VSFrame *frame, VSCore *core, const VSAPI *api) {
    return api->newVideoFrame(api->getVideoFrameFormat(frame), api->getFrameWidth(frame, 0),
                              api->getFrameHeight(frame, 0), frame, core);
}

/* Address and stride in bytes of each plane in host memory, one plane after the other, 3 at most. Returns how many there
 * are. write: only of a frame that nobody else has seen; a plane that it shares is copied then. */
static int rife_planes(const VSFrame *frame, int write, uintptr_t *planes, const VSAPI *api) {
    int count = api->getVideoFrameFormat(frame)->numPlanes;
    for (int i = 0; i < count; i++) {
        const uint8_t *plane = write ? api->getWritePtr((VSFrame *)frame, i) : api->getReadPtr(frame, i);
        planes[2 * i] = (uintptr_t)plane;
        planes[2 * i + 1] = (uintptr_t)api->getStride(frame, i);
    }
    return count;
}
