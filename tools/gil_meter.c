/* Preloaded by measure_gil.py: adds up the processor time that each thread spends with the GIL released.
 *
 * Extension modules (torch, numpy, cffi's) release and take the GIL by these two functions of libpython, so they are
 * bound to the ones here. Time is the thread's own, so that neither waiting for the GIL nor other programs count. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static __thread double released, since;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

/* Seconds of the calling thread's processor time without the GIL so far. */
double gil_meter_released(void) { return released; }

void *PyEval_SaveThread(void) {
    static void *(*original)(void);
    if (!original)
        original = (void *(*)(void))dlsym(RTLD_NEXT, "PyEval_SaveThread");
    void *state = original();
    since = now();
    return state;
}

void PyEval_RestoreThread(void *state) {
    static void (*original)(void *);
    if (!original)
        original = (void (*)(void *))dlsym(RTLD_NEXT, "PyEval_RestoreThread");
    released += now() - since;
    original(state);
}
