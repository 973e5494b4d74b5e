// The outputs of the blocks so far, read where they lie: no flow exists at the canvas' resolution.
//
// From outside: SCALES, the canvas pixels per pixel of each output, coarse to fine, powers of two; LEVELS, how many;
// SHUFFLED, whether four neighbours lie together (pixel (2 y + i, 2 x + j) at [y, x, 2 i + j]) or rows are plain;
// ADDS_MASKS, whether the mask is the sum of the levels' or the last one's; HIDDEN, channels after the mask.
//
// A level at a canvas pixel is torch's bilinear resize. With scales that are powers of two every place and weight below
// is exact, and clamping the taps is the same as clamping the place.
#pragma once
#include "common.cuh"

struct Level
{
    const Number *raw; // channels of a pixel side by side: flow (4, in this level's pixels), mask, hidden, zeros
    int width, height, stride;
};

constexpr int FLOW = 4;
constexpr int KNOWN = FLOW + 1 + HIDDEN;

#if LEVELS

INLINE constexpr int scale_of(int level)
{
    constexpr int scales[] = {SCALES};
    return scales[level];
}

// Channels of a level that somebody reads.
INLINE constexpr int used_of(int level)
{
    return level == LEVELS - 1 ? KNOWN : ADDS_MASKS ? FLOW + 1 : FLOW;
}

// Channels that are fetched for `used` of them: whole vectors. A pixel has at least as many, a multiple of 8.
INLINE constexpr int fetched(int used)
{
    return used <= 4 ? 4 : used <= 8 ? 8 : 16;
}

// Where something lies between two pixels of a level, along one axis; either may be out of it.
struct Place
{
    int first;
    float weight;
};

// Of a canvas position: `pixel` whole ones and `inside` of the next, counted from the canvas' edge.
template <int S> INLINE Place place(int pixel, float inside)
{
    const int shifted = pixel - S / 2;
    // Division that rounds down, also below zero; the compiler makes a shift of it.
    const int first = (shifted & ~(S - 1)) / S;
    return Place{first, (static_cast<float>(shifted & (S - 1)) + inside) * (1.0f / S)};
}

template <> INLINE Place place<1>(int pixel, float)
{
    return Place{pixel, 0.0f};
}

INLINE int row_start(const Level &level, int y)
{
    y = clamped(y, level.height - 1);
    return SHUFFLED ? (y >> 1) * 2 * level.width + (y & 1) * 2 : y * level.width;
}

INLINE int column_start(const Level &level, int x)
{
    x = clamped(x, level.width - 1);
    return SHUFFLED ? (x >> 1) * 4 + (x & 1) : x;
}

template <int COUNT> INLINE void mix(const float (&first)[COUNT], const float (&second)[COUNT], float weight,
                                     float (&to)[COUNT])
{
#pragma unroll
    for (int channel = 0; channel < COUNT; ++channel)
        to[channel] = first[channel] + weight * (second[channel] - first[channel]);
}

// Two rows of a level and a place between them.
template <int S> struct Rows
{
    const Level &level;
    int upper, lower;
    float weight;

    INLINE Rows(const Level &level, Place place)
        : level(level), upper(row_start(level, place.first)), lower(row_start(level, place.first + 1)),
          weight(place.weight)
    {
    }

    // The first COUNT channels in column x.
    template <int COUNT> INLINE void column(int x, float (&to)[COUNT]) const
    {
        const int start = column_start(level, x);
        load(level.raw + static_cast<size_t>(upper + start) * level.stride, to);
        if (S == 1)
            return;
        float below[COUNT];
        load(level.raw + static_cast<size_t>(lower + start) * level.stride, below);
        mix(to, below, weight, to);
    }
};

// Channels at POINTS canvas pixels side by side from `first` on that lie between the same two columns: the columns are
// read once. take(point, channels) is called for each.
template <int S, int COUNT, int POINTS, class Take>
INLINE void within_patch(const Rows<S> &rows, Place first, const Take &take)
{
    float left[COUNT], right[COUNT], here[COUNT];
    rows.column(first.first, left);
    if (S > 1)
        rows.column(first.first + 1, right);
#pragma unroll
    for (int point = 0; point < POINTS; ++point)
    {
        if (S == 1)
            take(point, left);
        else
        {
            mix(left, right, first.weight + point * (1.0f / S), here);
            take(point, here);
        }
    }
}

constexpr int RUN = 4;

// The same at a run of RUN canvas pixels from x on, a multiple of RUN: each column is read once for all of them.
template <int S, int COUNT, class Take> INLINE void along_run(const Level &level, int x, int y, const Take &take)
{
    const Rows<S> rows(level, place<S>(y, 0.5f));
    const Place start = place<S>(x, 0.5f);
    if constexpr (S > RUN)
        within_patch<S, COUNT, RUN>(rows, start, take);
    else
    {
        constexpr int columns = S == 1 ? RUN : RUN / S + 2;
        float before[COUNT] = {}, here[COUNT], there[COUNT];
#pragma unroll
        for (int column = 0; column < columns; ++column)
        {
            rows.column(start.first + column, here);
#pragma unroll
            for (int point = 0; point < RUN; ++point)
            {
                // x is a multiple of S: only the point determines between which columns it lies.
                const int shifted = point + S - S / 2;
                if (S == 1 && column == point)
                    take(point, here);
                if (S > 1 && column == shifted / S + 1)
                {
                    mix(before, here, (shifted % S + 0.5f) / S, there);
                    take(point, there);
                }
            }
#pragma unroll
            for (int channel = 0; channel < COUNT; ++channel)
                before[channel] = here[channel];
        }
    }
}

// The sum of the levels so far at one canvas pixel: flow in canvas pixels, mask before the sigmoid, hidden channels.
struct Known
{
    float channels[KNOWN];
};

template <int LEVEL, int COUNT> INLINE void add_level(const float (&output)[COUNT], Known &known)
{
    constexpr int used = used_of(LEVEL);
#pragma unroll
    for (int channel = 0; channel < FLOW; ++channel)
    {
        const float moved = output[channel] * scale_of(LEVEL);
        known.channels[channel] = LEVEL == 0 ? moved : known.channels[channel] + moved;
    }
#pragma unroll
    for (int channel = FLOW; channel < used; ++channel)
    {
        const bool adds = channel == FLOW && ADDS_MASKS && LEVEL > 0;
        known.channels[channel] = adds ? known.channels[channel] + output[channel] : output[channel];
    }
}

// All levels at a run of canvas pixels.
template <int LEVEL = 0> INLINE void know_run(const Level *levels, int x, int y, Known (&known)[RUN])
{
    along_run<scale_of(LEVEL), fetched(used_of(LEVEL))>(
        levels[LEVEL], x, y, [&](int point, const auto &output) { add_level<LEVEL>(output, known[point]); });
    if constexpr (LEVEL + 1 < LEVELS)
        know_run<LEVEL + 1>(levels, x, y, known);
}

#endif
