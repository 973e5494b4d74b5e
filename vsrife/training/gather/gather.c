/* What goes into a block of a 4.x network, written at once: both frames and their features where the flow leads, the
   time, the mask, the hidden channels and the flow. The definition is vsrife/network/points.py.

   A packed pixel has all channels of a frame side by side, so that a point is sampled by four reads of adjacent memory.
   Samples are independent of each other, and everything that is summed is summed in one order within a sample: the
   numbers do not depend on how samples are shared out among threads. */

#include "gather.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = 4,
    HIDDEN = 8,
    MOST = 128, /* floats of a packed pixel */
    BUNCH = 16, /* cells that are converted from or to bfloat16 at once */
};

typedef float Vector __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

/* Where a point is sampled: four pixels, the shares of the right column and of the lower row, and whether the place
   still changes with the flow. */
typedef struct {
    size_t at[4];
    float across, down;
    int moves_across, moves_down;
} Place;

/* Limited to 0 .. last; what is no number becomes 0. */
INLINE float limited(float place, int last)
{
    return place > 0 ? (place < (float)last ? place : (float)last) : 0;
}

INLINE Place place_of(const Gather *g, float x, float y)
{
    const int right = g->width - 1, bottom = g->height - 1;
    const float column = limited(x, right), row = limited(y, bottom);
    const int left = (int)column, top = (int)row;
    const size_t upper = (size_t)top * g->width, lower = top < bottom ? upper + g->width : upper;
    const int next = left < right ? left + 1 : left;
    return (Place){.at = {upper + left, upper + next, lower + left, lower + next},
                   .across = column - (float)left,
                   .down = row - (float)top,
                   .moves_across = x > 0 && x < (float)right,
                   .moves_down = y > 0 && y < (float)bottom};
}

/* The first point of a cell, in pixels of the frame. */
INLINE int pixel_of(const Gather *g, int cell)
{
    return g->points == 1 ? cell : cell * g->scale + g->scale / 2 - 1;
}

INLINE Place point_of(const Gather *g, const float *flow, int sample, int side, int row, int column, int i, int j)
{
    float x = (float)(pixel_of(g, column) + j), y = (float)(pixel_of(g, row) + i);
    if (flow) {
        const size_t across = (size_t)g->columns * g->points, plane = across * g->rows * g->points;
        const float *here =
            flow + (4 * (size_t)sample + 2 * side) * plane + ((size_t)row * g->points + i) * across + (size_t)column * g->points + j;
        x += here[0];
        y += here[plane];
    }
    return place_of(g, x, y);
}

INLINE Vector load(const float *from)
{
    return *(const Vector *)from;
}

INLINE float sum(Vector v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}

/* A number of a map that is coarser than the cells: four of its pixels with their shares, as bilinear resizing between
   pixel centres has them. */
typedef struct {
    size_t at[4];
    float share[4];
} Blend;

INLINE Blend blend_of(int row, int column, int rows, int columns, int factor)
{
    const float y = factor == 1 ? (float)row : limited(((float)row + 0.5f) / (float)factor - 0.5f, rows - 1);
    const float x = factor == 1 ? (float)column : limited(((float)column + 0.5f) / (float)factor - 0.5f, columns - 1);
    const int top = (int)y, left = (int)x;
    const float down = y - (float)top, across = x - (float)left;
    const size_t upper = (size_t)top * columns, lower = top < rows - 1 ? upper + columns : upper;
    const int next = left < columns - 1 ? left + 1 : left;
    return (Blend){.at = {upper + left, upper + next, lower + left, lower + next},
                   .share = {(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across}};
}

INLINE uint16_t to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded);
}

INLINE float from_half(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE int channels_of(const Gather *g)
{
    return 2 * (3 + g->features) + 1 + (g->moved ? 1 + 4 : 0) + (g->hidden ? HIDDEN : 0);
}

void gather_pack(const Gather *g, int first, int last, const float *rgb, const float *features, const long *strides,
                 float *packed)
{
    const size_t plane = (size_t)g->height * g->width;
    for (int image = first; image < last; ++image)
        for (int y = 0; y < g->height; ++y) {
            float *to = packed + ((size_t)image * plane + (size_t)y * g->width) * g->pixel;
            const float *colours = rgb + (size_t)image * 3 * plane + (size_t)y * g->width;
            const float *from = g->features ? features + image * strides[0] + y * strides[2] : NULL;
            for (int x = 0; x < g->width; ++x, to += g->pixel) {
                for (int c = 0; c < g->features; ++c)
                    to[c] = from[c * strides[1] + x * strides[3]];
                for (int c = 0; c < 3; ++c)
                    to[g->features + c] = colours[c * plane + x];
                for (int c = g->features + 3; c < g->pixel; ++c)
                    to[c] = 0;
            }
        }
}

/* The mean of a cell's points of one side. */
INLINE void sample(const Gather *g, const float *image, const float *flow, int n,
                   int side, int row, int column, float *mean)
{
    const int pixel = g->pixel, points = g->points;
    Vector sums[MOST / LANES];
    for (int c = 0; c < pixel / LANES; ++c)
        sums[c] = (Vector){0};
    for (int i = 0; i < points; ++i)
        for (int j = 0; j < points; ++j) {
            const Place p = point_of(g, flow, n, side, row, column, i, j);
            const float *a = image + p.at[0] * pixel, *b = image + p.at[1] * pixel;
            const float *d = image + p.at[2] * pixel, *e = image + p.at[3] * pixel;
            for (int c = 0; c < pixel / LANES; ++c) {
                const Vector upper = load(a + c * LANES) + p.across * (load(b + c * LANES) - load(a + c * LANES));
                const Vector lower = load(d + c * LANES) + p.across * (load(e + c * LANES) - load(d + c * LANES));
                sums[c] += upper + p.down * (lower - upper);
            }
        }
    const float share = 1.0f / (float)(points * points);
    for (int c = 0; c < pixel / LANES; ++c)
        *(Vector *)(mean + c * LANES) = sums[c] * share;
}

/* The gradient of a cell's sample of one side, as a packed pixel has the channels, divided among the points. */
INLINE void gradient_of(const Gather *g, const float *cell, int side, float *gradient)
{
    const float share = 1.0f / (float)(g->points * g->points);
    const float *colours = cell + 3 * side, *features = cell + 6 + side * g->features;
    if (g->features == LANES) { /* no memory between: a vector that was just written in parts is slow to read */
        *(Vector *)gradient = load(features) * share;
        *(Vector *)(gradient + LANES) = (Vector){colours[0], colours[1], colours[2], 0} * share;
        return;
    }
    for (int c = 0; c < g->features; ++c)
        gradient[c] = features[c] * share;
    for (int c = 0; c < 3; ++c)
        gradient[g->features + c] = colours[c] * share;
    for (int c = g->features + 3; c < g->pixel; ++c)
        gradient[c] = 0;
}

/* Adds the gradients of the features, and writes those of the flow, where their places are not null.
   moved: the gradient of the flow's own two channels. */
INLINE void spread(const Gather *g, const float *image, const float *flow, int n, int side, int row, int column,
                   const float *gradient, float *features_gradient, float *flow_gradient, const float *moved)
{
    const int pixel = g->pixel, points = g->points, floats = (g->features + LANES - 1) / LANES * LANES;
    const size_t across = (size_t)g->columns * points, plane = across * g->rows * points;
    const float share = 1.0f / (float)(points * points * g->scale);
    for (int i = 0; i < points; ++i)
        for (int j = 0; j < points; ++j) {
            const Place p = point_of(g, flow, n, side, row, column, i, j);
            if (features_gradient) {
                const float shares[4] = {(1 - p.down) * (1 - p.across), (1 - p.down) * p.across,
                                         p.down * (1 - p.across), p.down * p.across};
                for (int k = 0; k < 4; ++k) {
                    float *to = features_gradient + p.at[k] * floats;
                    for (int c = 0; c < floats; c += LANES)
                        *(Vector *)(to + c) = load(to + c) + shares[k] * load(gradient + c);
                }
            }
            if (flow_gradient) {
                const float *a = image + p.at[0] * pixel, *b = image + p.at[1] * pixel;
                const float *d = image + p.at[2] * pixel, *e = image + p.at[3] * pixel;
                Vector x = {0}, y = {0};
                for (int c = 0; c < pixel; c += LANES) {
                    const Vector weight = load(gradient + c);
                    const Vector upper = load(b + c) - load(a + c), lower = load(e + c) - load(d + c);
                    x += weight * (upper + p.down * (lower - upper));
                    y += weight * (load(d + c) - load(a + c) + p.across * (lower - upper));
                }
                float *to = flow_gradient + (4 * (size_t)n + 2 * side) * plane + ((size_t)row * points + i) * across +
                            (size_t)column * points + j;
                to[0] = moved[0] * share + (p.moves_across ? sum(x) : 0);
                to[plane] = moved[1] * share + (p.moves_down ? sum(y) : 0);
            }
        }
}

/* The mean of a cell's flow, of one of its four channels, in cells. */
INLINE float mean_flow(const Gather *g, const float *flow, int n, int channel, int row, int column)
{
    const int points = g->points;
    const size_t across = (size_t)g->columns * points, plane = across * g->rows * points;
    const float *here =
        flow + (4 * (size_t)n + channel) * plane + (size_t)row * points * across + (size_t)column * points;
    const float whole = points == 1 ? here[0] : here[0] + here[1] + here[across] + here[across + 1];
    return whole * (1.0f / (float)(points * points * g->scale));
}

/* One cell of a block's input. */
INLINE void make_cell(const Gather *g, int n, int row, int column, const float *packed, const float *flow,
                      const float *time, const float *mask, const float *hidden, float *to)
{
    const int features = g->features;
    const size_t image = (size_t)g->height * g->width * g->pixel;
    float sides[2][MOST];
    for (int side = 0; side < 2; ++side) {
        sample(g, packed + ((size_t)side * g->samples + n) * image, flow, n, side, row, column, sides[side]);
        memcpy(to, sides[side] + features, 3 * sizeof(float));
        to += 3;
    }
    for (int side = 0; side < 2; ++side, to += features)
        memcpy(to, sides[side], (size_t)features * sizeof(float));
    *to++ = time[n];
    if (flow) {
        const int down = g->rows / g->mask, across = g->columns / g->mask;
        const Blend b = blend_of(row, column, down, across, g->mask);
        const float *of = mask + (size_t)n * down * across;
        *to++ = b.share[0] * of[b.at[0]] + b.share[1] * of[b.at[1]] + b.share[2] * of[b.at[2]] + b.share[3] * of[b.at[3]];
    }
    if (g->hidden) {
        const int down = g->rows / g->hidden, across = g->columns / g->hidden;
        const Blend b = blend_of(row, column, down, across, g->hidden);
        const float *of = hidden + (size_t)n * down * across * HIDDEN;
        for (int c = 0; c < HIDDEN; c += LANES, to += LANES) {
            Vector whole = {0};
            for (int k = 0; k < 4; ++k)
                whole += b.share[k] * load(of + b.at[k] * HIDDEN + c);
            *(Vector *)to = whole;
        }
    }
    if (flow)
        for (int c = 0; c < 4; ++c)
            *to++ = mean_flow(g, flow, n, c, row, column);
}

/* The gradients of one cell. */
INLINE void spread_cell(const Gather *g, int n, int row, int column, const float *packed, const float *flow,
                        const float *cell, float *features_gradient, float *flow_gradient, float *mask_gradient,
                        float *hidden_gradient)
{
    const size_t pixels = (size_t)g->height * g->width, floats = (size_t)(g->features + LANES - 1) / LANES * LANES;
    const float *moved = cell + channels_of(g) - 4, *others = cell + 6 + 2 * g->features + 1;
    for (int side = 0; side < 2; ++side) {
        const size_t image = (size_t)side * g->samples + n;
        float gradient[MOST];
        gradient_of(g, cell, side, gradient);
        spread(g, packed + image * pixels * g->pixel, flow, n, side, row, column, gradient,
               features_gradient ? features_gradient + image * pixels * floats : NULL, flow_gradient, moved + 2 * side);
    }
    if (mask_gradient) {
        const int down = g->rows / g->mask, across = g->columns / g->mask;
        const Blend b = blend_of(row, column, down, across, g->mask);
        float *of = mask_gradient + (size_t)n * down * across;
        for (int k = 0; k < 4; ++k)
            of[b.at[k]] += b.share[k] * others[0];
    }
    if (hidden_gradient) {
        const int down = g->rows / g->hidden, across = g->columns / g->hidden;
        const Blend b = blend_of(row, column, down, across, g->hidden);
        float *of = hidden_gradient + (size_t)n * down * across * HIDDEN;
        for (int k = 0; k < 4; ++k)
            for (int c = 0; c < HIDDEN; c += LANES) {
                float *to = of + b.at[k] * HIDDEN + c;
                *(Vector *)to = load(to) + b.share[k] * load(others + 1 + c);
            }
    }
}

/* What is given, with three of its numbers as constants where this is called. */
INLINE Gather with(const Gather *given, const int pixel, const int points, const int features)
{
    Gather known = *given;
    known.pixel = pixel;
    known.points = points;
    known.features = features;
    return known;
}

INLINE void forward(const Gather known, int first, int last, const float *packed, const float *flow, const float *time,
                    const float *mask, const float *hidden, void *x)
{
    const Gather *g = &known;
    const int channels = channels_of(g);
    float bunch[BUNCH * (2 * MOST + 16)];
    for (int n = first; n < last; ++n)
        for (int row = 0; row < g->rows; ++row)
            for (int begin = 0; begin < g->columns; begin += BUNCH) {
                const int end = begin + BUNCH < g->columns ? begin + BUNCH : g->columns;
                const size_t place = (((size_t)n * g->rows + row) * g->columns + begin) * channels;
                float *cells = g->half ? bunch : (float *)x + place;
                for (int column = begin; column < end; ++column)
                    make_cell(g, n, row, column, packed, flow, time, mask, hidden, cells + (column - begin) * channels);
                if (g->half)
                    for (int c = 0; c < (end - begin) * channels; ++c)
                        ((uint16_t *)x)[place + c] = to_half(bunch[c]);
            }
}

INLINE void backward(const Gather known, int first, int last, const float *packed, const float *flow, const void *x,
                     float *features_gradient, float *flow_gradient, float *mask_gradient, float *hidden_gradient)
{
    const Gather *g = &known;
    const int channels = channels_of(g);
    float bunch[BUNCH * (2 * MOST + 16)];
    for (int n = first; n < last; ++n)
        for (int row = 0; row < g->rows; ++row)
            for (int begin = 0; begin < g->columns; begin += BUNCH) {
                const int end = begin + BUNCH < g->columns ? begin + BUNCH : g->columns;
                const size_t place = (((size_t)n * g->rows + row) * g->columns + begin) * channels;
                const float *cells = g->half ? bunch : (const float *)x + place;
                if (g->half)
                    for (int c = 0; c < (end - begin) * channels; ++c)
                        bunch[c] = from_half(((const uint16_t *)x)[place + c]);
                for (int column = begin; column < end; ++column)
                    spread_cell(g, n, row, column, packed, flow, cells + (column - begin) * channels, features_gradient,
                                flow_gradient, mask_gradient, hidden_gradient);
            }
}

/* Calls with g's numbers as constants where they are those of most networks. */
#define WITH_CONSTANTS(call, ...)                                              \
    do {                                                                       \
        if (g->features == 4 && g->points == 2)                                \
            call(with(g, 8, 2, 4), __VA_ARGS__);                               \
        else if (g->features == 4)                                             \
            call(with(g, 8, 1, 4), __VA_ARGS__);                               \
        else                                                                   \
            call(with(g, g->pixel, g->points, g->features), __VA_ARGS__);      \
    } while (0)

void gather_forward(const Gather *g, int first, int last, const float *packed, const float *flow, const float *time,
                    const float *mask, const float *hidden, void *x)
{
    WITH_CONSTANTS(forward, first, last, packed, flow, time, mask, hidden, x);
}

void gather_backward(const Gather *g, int first, int last, const float *packed, const float *flow, const void *x,
                     float *features_gradient, float *flow_gradient, float *mask_gradient, float *hidden_gradient)
{
    WITH_CONSTANTS(backward, first, last, packed, flow, x, features_gradient, flow_gradient, mask_gradient,
                   hidden_gradient);
}
