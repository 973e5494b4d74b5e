/* What the vector widths of winograd.c and its callers share. */
#pragma once
#include <stddef.h>

enum {
    GROUP = 24,   /* tiles that are worked on at a time: their points take 0.9 MB at most for 128 channels */
    SPACING = 16, /* floats between the points' arrays: without them all 36 would fall on the same lines of the cache */
};

/* `count` rounded up to a multiple of `lanes`. */
static inline int padded(int count, int lanes)
{
    return (count + lanes - 1) / lanes * lanes;
}

typedef void Convolve(const float *x, const float *weights, const float *bias, const float *slopes, float *y,
                      int height, int width, int inputs, int outputs, float *scratch);

Convolve winograd_avx2, winograd_avx512;
