/* What the filter does with each frame, in few calls: every call from Python releases the GIL and takes it again, which
 * costs more than the work of most functions of VapourSynth's API. No rule of the filter is implemented here.
 *
 * Functions without a result return 0, as in measures.c. No reference to a frame is kept. */

enum { RIFE_SOURCE_PROPS = 13 };

/* What rife_read_source_props reads. The part before the time is the same for most frames of a clip. */
typedef struct RifeSourceProps {
    int64_t integers[RIFE_SOURCE_PROPS];
    uint32_t present; /* bit i: the property of integers[i] is present */
    uint32_t has_alpha;
    double time;
    int has_time;
} RifeSourceProps;

/* The properties that are read from a source frame, in the order of RifeSourceProps.integers. source_props.py interprets
 * them. */
static const char *const rife_source_prop_names[RIFE_SOURCE_PROPS] = {
    "_Matrix", "_ColorSpace", "_Range", "_ColorRange", "_ChromaLocation", "_Transfer", "_Primaries",
    "_FieldBased", "_Field", "_DurationNum", "_DurationDen", "_SceneChangePrev", "_SceneChangeNext",
};

/* Reads a frame's properties. A value that is missing or of another type is 0 and not marked as present. Of several
 * values the first one counts. time: of a float or an integer. */
static int rife_read_source_props(const VSFrame *frame, RifeSourceProps *found, const VSAPI *api) {
    const VSMap *props = api->getFramePropertiesRO(frame);
    int missing;
    found->present = 0;
    for (int i = 0; i < RIFE_SOURCE_PROPS; i++) {
        found->integers[i] = api->mapGetInt(props, rife_source_prop_names[i], 0, &missing);
        if (missing)
            found->integers[i] = 0;
        else
            found->present |= 1u << i;
    }
    found->has_alpha = api->mapNumElements(props, "_Alpha") > 0;
    found->time = api->mapGetFloat(props, "_AbsoluteTime", 0, &missing);
    if (missing)
        found->time = (double)api->mapGetInt(props, "_AbsoluteTime", 0, &missing);
    found->has_time = !missing;
    return 0;
}

static void set_or_delete(VSMap *props, const char *key, int present, int64_t value, const VSAPI *api) {
    if (present)
        api->mapSetInt(props, key, value, maReplace);
    else
        api->mapDeleteKey(props, key);
}

/* Replaces the properties of a source frame by those of an output frame, see docs/properties.md. The frame must be new
 * and not shared. numerator: 0 where there is no duration. starts, ends: whether the frame starts or ends a scene, below 0
 * where that is unknown. */
static int rife_write_output_props(VSFrame *frame, const char *kind, int keeps_type, int64_t numerator,
                                   int64_t denominator, int starts, int ends, int has_time, double time, int has_score,
                                   double score, const VSAPI *api) {
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

/* A new frame in host memory with the same format, size and properties. Its planes are not written. */
static VSFrame *rife_blank_like(const VSFrame *frame, VSCore *core, const VSAPI *api) {
    return api->newVideoFrame(api->getVideoFrameFormat(frame), api->getFrameWidth(frame, 0),
                              api->getFrameHeight(frame, 0), frame, core);
}

/* Address and stride in bytes of each plane in host memory, one plane after the other, 3 at most. Returns the number of
 * planes. write: the frame must be new and not shared; a plane that it shares with another frame is copied. */
static int rife_planes(const VSFrame *frame, int write, uintptr_t *planes, const VSAPI *api) {
    int count = api->getVideoFrameFormat(frame)->numPlanes;
    for (int i = 0; i < count; i++) {
        const uint8_t *plane = write ? api->getWritePtr((VSFrame *)frame, i) : api->getReadPtr(frame, i);
        planes[2 * i] = (uintptr_t)plane;
        planes[2 * i + 1] = (uintptr_t)api->getStride(frame, i);
    }
    return count;
}
