/* A video player's way with VapourSynth, as mpv's vf_vapoursynth does it, without the player.
 *
 *   player SCRIPT ROUNDS FRAMES CONCURRENT
 *
 * Each round creates a core, a source whose length nobody knows (fps 0/0, 134217727 frames, each with a duration),
 * sets the variables a script is given, evaluates SCRIPT, asks for its frames CONCURRENT at a time, in order, and frees
 * everything, as at a seek. The source has FRAMES frames: a request beyond them, or for a frame that has left the
 * window, is an error, and the first output frame that fails ends the round.
 *
 * A source frame n is filled with 16 + 8 * n in luma and lasts n + 2 hundredths of a second.
 * Prints "round R", then a line "N LUMA NUM DEN KIND" for each output frame, then "end N: MESSAGE".
 *
 * From the environment: PLAYER_USER_DATA, PLAYER_CONTAINER_FPS and PLAYER_DISPLAY_FPS (numbers, also nan and inf) are
 * what the script is given; PLAYER_SIZE (96x64) is the source's size; PLAYER_LIMIT is the most output frames of a round.
 * With PLAYER_TIMES each round ends with "time EVALUATION FIRST WAIT TEARDOWN" in milliseconds: of creating the core and
 * evaluating, from there to the first output frame, of waiting for what is in flight in the end, and of freeing it all.
 */
#define VS_USE_LATEST_API
#include <VSScript4.h>
#include <VapourSynth4.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ENDLESS = 134217727, WINDOW = 8 };

static const VSAPI *vs;
static int total, concurrent, width = 96, height = 64;

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static double number(const char *name, double otherwise) {
    const char *text = getenv(name);
    return text ? strtod(text, NULL) : otherwise;
}

/* Source */

typedef struct {
    VSVideoInfo info;
    int newest, initializing, early, past;
    pthread_mutex_t lock;
} Source;

static const VSFrame *VS_CC source_frame(int n, int reason, void *data, void **frame_data, VSFrameContext *context,
                                         VSCore *core, const VSAPI *api) {
    Source *source = data;
    (void)frame_data;
    if (reason != arInitial)
        return NULL;
    pthread_mutex_lock(&source->lock);
    if (source->initializing)
        source->early++;
    if (n > source->newest)
        source->newest = n;
    int gone = n <= source->newest - WINDOW * concurrent;
    source->past += gone;
    pthread_mutex_unlock(&source->lock);
    if (gone) {
        api->setFilterError("requested a frame too far in the past", context);
        return NULL;
    }
    if (n >= total) {
        api->setFilterError("end of file", context);
        return NULL;
    }
    VSFrame *frame = api->newVideoFrame(&source->info.format, width, height, NULL, core);
    for (int plane = 0; plane < 3; plane++) {
        uint8_t *rows = api->getWritePtr(frame, plane);
        memset(rows, plane ? 128 : 16 + 8 * n % 224, (size_t)api->getStride(frame, plane) * api->getFrameHeight(frame, plane));
    }
    VSMap *props = api->getFramePropertiesRW(frame);
    api->mapSetInt(props, "_DurationNum", n + 2, maReplace);
    api->mapSetInt(props, "_DurationDen", 100, maReplace);
    api->mapSetInt(props, "_ColorSpace", 1, maReplace);
    return frame;
}

static void VS_CC source_free(void *data, VSCore *core, const VSAPI *api) {
    (void)data, (void)core, (void)api;
}

/* Frames that were asked for */

typedef struct {
    const VSFrame *frame;
    char error[512];
    int ready;
} Answer;

static Answer *answers;
static pthread_mutex_t answers_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;

static void VS_CC on_frame(void *data, const VSFrame *frame, int n, VSNode *node, const char *error) {
    (void)data, (void)node;
    pthread_mutex_lock(&answers_lock);
    answers[n].frame = frame;
    snprintf(answers[n].error, sizeof answers[n].error, "%s", error ? error : "");
    answers[n].ready = 1;
    pthread_cond_broadcast(&answered);
    pthread_mutex_unlock(&answers_lock);
}

static Answer *wait_for(int n) {
    pthread_mutex_lock(&answers_lock);
    while (!answers[n].ready)
        pthread_cond_wait(&answered, &answers_lock);
    pthread_mutex_unlock(&answers_lock);
    return &answers[n];
}

static int play(const VSSCRIPTAPI *scripts, const char *code, int limit) {
    double began = milliseconds();
    VSCore *core = vs->createCore(0);
    VSScript *script = scripts->createScript(core);
    Source source = {.initializing = 1, .lock = PTHREAD_MUTEX_INITIALIZER, .newest = -1};
    vs->getVideoFormatByID(&source.info.format, pfYUV420P8, core);
    source.info.width = width;
    source.info.height = height;
    source.info.numFrames = ENDLESS;
    VSNode *input = vs->createVideoFilter2("player", &source.info, source_frame, source_free, fmUnordered, NULL, 0, &source, core);
    VSMap *variables = vs->createMap();
    vs->mapConsumeNode(variables, "video_in", input, maReplace);
    vs->mapSetInt(variables, "video_in_dw", width, maReplace);
    vs->mapSetInt(variables, "video_in_dh", height, maReplace);
    vs->mapSetFloat(variables, "container_fps", number("PLAYER_CONTAINER_FPS", 25.0), maReplace);
    vs->mapSetFloat(variables, "display_fps", number("PLAYER_DISPLAY_FPS", 60.0), maReplace);
    const int64_t display[2] = {1920, 1080};
    vs->mapSetIntArray(variables, "display_res", display, 2);
    vs->mapSetData(variables, "user_data", getenv("PLAYER_USER_DATA") ? getenv("PLAYER_USER_DATA") : "", -1, dtUtf8, maReplace);
    scripts->setVariables(script, variables);
    vs->freeMap(variables);
    if (scripts->evaluateBuffer(script, code, "player.vpy")) {
        fprintf(stderr, "%s\n", scripts->getError(script));
        scripts->freeScript(script);
        return 1;
    }
    VSNode *output = scripts->getOutputNode(script, 0);
    if (!output) {
        fprintf(stderr, "the script has no output\n");
        return 1;
    }
    pthread_mutex_lock(&source.lock);
    source.initializing = 0;
    pthread_mutex_unlock(&source.lock);
    double evaluated = milliseconds(), first = evaluated;
    int asked = 0, shown = 0, ended = 0;
    while (!ended && shown < limit) {
        while (asked < shown + concurrent)
            vs->getFrameAsync(asked++, output, on_frame, NULL);
        Answer *answer = wait_for(shown);
        if (!shown)
            first = milliseconds();
        if (answer->frame) {
            int error;
            const VSMap *props = vs->getFramePropertiesRO(answer->frame);
            const char *kind = vs->mapGetData(props, "RifeKind", 0, &error);
            printf("%d %d %d %d %s\n", shown, vs->getReadPtr(answer->frame, 0)[0],
                   (int)vs->mapGetInt(props, "_DurationNum", 0, &error), (int)vs->mapGetInt(props, "_DurationDen", 0, &error),
                   kind ? kind : "-");
            vs->freeFrame(answer->frame);
            answer->frame = NULL;
            shown++;
        } else {
            printf("end %d: %s\n", shown, answer->error);
            ended = 1;
        }
    }
    double last = milliseconds();
    for (int n = shown; n < asked; n++) { /* as at a seek: wait for what is in flight */
        Answer *answer = wait_for(n);
        if (answer->frame)
            vs->freeFrame(answer->frame);
    }
    memset(answers, 0, sizeof(Answer) * (size_t)(limit + concurrent));
    double idle = milliseconds();
    vs->freeNode(output);
    scripts->freeScript(script);
    if (getenv("PLAYER_TIMES"))
        printf("time %.2f %.2f %.2f %.2f\n", evaluated - began, first - evaluated, idle - last, milliseconds() - idle);
    if (source.early || source.past) {
        fprintf(stderr, "%d requests during evaluation, %d for the past\n", source.early, source.past);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    total = atoi(argv[3]);
    concurrent = atoi(argv[4]);
    FILE *file = fopen(argv[1], "rb");
    if (!file)
        return 2;
    static char code[65536];
    code[fread(code, 1, sizeof code - 1, file)] = 0;
    fclose(file);
    const VSSCRIPTAPI *scripts = getVSScriptAPI(VSSCRIPT_API_VERSION);
    if (!scripts) {
        fprintf(stderr, "no VSScript\n");
        return 1;
    }
    vs = scripts->getVSAPI(VAPOURSYNTH_API_VERSION);
    int limit = (int)number("PLAYER_LIMIT", 8 * total + 64);
    if (getenv("PLAYER_SIZE") && sscanf(getenv("PLAYER_SIZE"), "%dx%d", &width, &height) != 2)
        return 2;
    answers = calloc((size_t)(limit + concurrent), sizeof *answers);
    for (int round = 0; round < atoi(argv[2]); round++) {
        printf("round %d\n", round);
        if (play(scripts, code, limit))
            return 1;
    }
    return 0;
}
