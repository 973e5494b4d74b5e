// The new frame from both frames' own planes, all planes in one launch, the flow and the mask made on the way.
// The definition is vsrife.engine.backend.synthesis.synthesize. From outside: NUMBER (of the levels), SAMPLE, PLANES,
// SUBSAMPLING_W and SUBSAMPLING_H (log2), and what levels.cuh names.
//
// A block makes a tile of the picture. Its threads take runs of pixels: the flow of all levels, with taps shared along
// the run, then the samples of luma (or of all planes, where none is subsampled) and one write for the run. Where
// chroma is subsampled, flow and mask go to shared memory too, with the border that chroma's windows reach over; after
// the barrier a thread makes a chroma sample of both planes from their means.
#include "levels.cuh"

constexpr int TILE_WIDTH = 64, TILE_HEIGHT = 16, THREADS = 256;
constexpr int FACTOR_W = 1 << SUBSAMPLING_W, FACTOR_H = 1 << SUBSAMPLING_H;
constexpr bool SUBSAMPLED = SUBSAMPLING_W || SUBSAMPLING_H;

// A chroma window reaches over one end of its own samples at most, by half of them at most; runs stay aligned.
constexpr int BORDER_W = SUBSAMPLING_W ? (FACTOR_W / 2 + RUN - 1) / RUN * RUN : 0, BORDER_H = FACTOR_H / 2;
constexpr int FIELD_WIDTH = SUBSAMPLED ? TILE_WIDTH + BORDER_W : 1;
constexpr int FIELD_HEIGHT = SUBSAMPLED ? TILE_HEIGHT + BORDER_H : 1;

// The luma samples that a chroma sample stands for, along one axis: `taps` from `first` on (counted from the chroma
// sample's own), of which the first and the last count half if there is one more than the factor.
struct Window
{
    int first, taps;
};

struct SynthesisArguments
{
    Level levels[LEVELS];
    Plane left[PLANES], right[PLANES], out[PLANES];
    int width, height;
    float peak;
    Window across, down;
};

struct Field
{
    float4 flow[FIELD_HEIGHT][FIELD_WIDTH];
    float mask[FIELD_HEIGHT][FIELD_WIDTH];
};

// Bilinear samples of planes of one size at one place: rows and columns, held to the picture, and weights between them.
struct Sampler
{
    int left, right, upper, lower;
    float across, down;

    INLINE Sampler(int x, int y, float flow_x, float flow_y, int width, int height)
    {
        const SplitOffset step_x = split_offset(flow_x), step_y = split_offset(flow_y);
        left = clamped(x + step_x.whole, width - 1);
        right = clamped(x + step_x.whole + 1, width - 1);
        upper = clamped(y + step_y.whole, height - 1);
        lower = clamped(y + step_y.whole + 1, height - 1);
        across = step_x.rest;
        down = step_y.rest;
    }

    INLINE float operator()(const Plane &plane) const
    {
        return between(in_row(plane, upper), in_row(plane, lower), down);
    }

    INLINE float in_row(const Plane &plane, int row) const
    {
        const float first = number_of(read(sample_at(plane, left, row)));
        return between(first, number_of(read(sample_at(plane, right, row))), across);
    }
};

INLINE void rounded(float value, float, float &sample)
{
    sample = value;
}

INLINE void rounded(float value, float, f16 &sample)
{
    sample.bits = static_cast<unsigned short>(narrow(sample, value, 0.0f));
}

template <class Integer> INLINE void rounded(float value, float peak, Integer &sample)
{
    sample = static_cast<Integer>(fminf(fmaxf(rintf(value), 0.0f), peak)); // halves to even
}

// torch.lerp: exactly either number at weights 0 and 1, and of equal numbers that number.
INLINE float lerp(float first, float second, float weight)
{
    const float step = second - first;
    return weight < 0.5f ? first + weight * step : second - step * (1.0f - weight);
}

// What a plane shows at (x, y), of a plane of this width and height.
struct Blend
{
    Sampler left, right;
    float weight;

    INLINE Blend(int x, int y, float4 flow, float mask, int width, int height)
        : left(x, y, flow.x, flow.y, width, height), right(x, y, flow.z, flow.w, width, height),
          weight(mask != mask ? 0.5f : fminf(fmaxf(mask, 0.0f), 1.0f))
    {
    }

    INLINE Sample operator()(const SynthesisArguments &a, int plane) const
    {
        Sample sample;
        rounded(lerp(right(a.right[plane]), left(a.left[plane]), weight), a.peak, sample);
        return sample;
    }
};

template <int BYTES> struct Whole;
template <> struct Whole<4>
{
    typedef unsigned Type;
};
template <> struct Whole<8>
{
    typedef uint2 Type;
};
template <> struct Whole<16>
{
    typedef uint4 Type;
};

// RUN samples, at once if all are inside the picture and the place is aligned.
INLINE void write_run(Sample *to, const Sample (&samples)[RUN], int inside)
{
    typedef typename Whole<RUN * sizeof(Sample)>::Type Access;
    union {
        Sample single[RUN];
        Access all;
    } memory;
#pragma unroll
    for (int point = 0; point < RUN; ++point)
        memory.single[point] = samples[point];
    if (inside >= RUN && reinterpret_cast<size_t>(to) % sizeof(Access) == 0)
    {
        *reinterpret_cast<Access *>(to) = memory.all;
        return;
    }
#pragma unroll
    for (int point = 0; point < RUN; ++point)
        if (point < inside)
            to[point] = samples[point];
}

// Flow and mask of the run at (x, y), kept for chroma where there is a field, and the planes of luma's size there.
INLINE void make_run(const SynthesisArguments &a, Field &field, int x, int y, int field_x, int field_y, bool visible)
{
    Known known[RUN];
    know_run(a.levels, x, y, known);
    float4 flow[RUN];
    float mask[RUN];
#pragma unroll
    for (int point = 0; point < RUN; ++point)
    {
        const float *channels = known[point].channels;
        flow[point] = make_float4(channels[0], channels[1], channels[2], channels[3]);
        mask[point] = __fdividef(1.0f, 1.0f + expf(-channels[FLOW]));
        if (SUBSAMPLED)
        {
            field.flow[field_y][field_x + point] = flow[point];
            field.mask[field_y][field_x + point] = mask[point];
        }
    }
    if (!visible)
        return;
    constexpr int planes = SUBSAMPLED ? 1 : PLANES;
    Sample samples[planes][RUN];
#pragma unroll
    for (int point = 0; point < RUN; ++point)
    {
        const Blend blend(x + point, y, flow[point], mask[point], a.width, a.height);
#pragma unroll
        for (int plane = 0; plane < planes; ++plane)
            samples[plane][point] = blend(a, plane);
    }
#pragma unroll
    for (int plane = 0; plane < planes; ++plane)
        write_run(sample_at(a.out[plane], x, y), samples[plane], a.width - x);
}

#if SUBSAMPLING_W || SUBSAMPLING_H

INLINE float share(const Window &window, int tap, int factor)
{
    const bool half = window.taps > factor && (tap == 0 || tap == window.taps - 1);
    return (half ? 0.5f : 1.0f) / factor;
}

// Chroma sample (x, y) of both planes, from the means of flow and mask over its window, edges repeated. (origin_x,
// origin_y) is the luma sample that the field begins at.
INLINE void make_chroma(const SynthesisArguments &a, const Field &field, int x, int y, int origin_x, int origin_y)
{
    float4 flow = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    float mask = 0.0f;
    for (int column = 0; column < a.across.taps; ++column)
    {
        const int field_x = clamped(x * FACTOR_W + a.across.first + column, a.width - 1) - origin_x;
        const float of_column = share(a.across, column, FACTOR_W);
        for (int row = 0; row < a.down.taps; ++row)
        {
            const int field_y = clamped(y * FACTOR_H + a.down.first + row, a.height - 1) - origin_y;
            const float weight = of_column * share(a.down, row, FACTOR_H);
            const float4 there = field.flow[field_y][field_x];
            flow.x += weight * there.x;
            flow.y += weight * there.y;
            flow.z += weight * there.z;
            flow.w += weight * there.w;
            mask += weight * field.mask[field_y][field_x];
        }
    }
    flow.x *= 1.0f / FACTOR_W;
    flow.y *= 1.0f / FACTOR_H;
    flow.z *= 1.0f / FACTOR_W;
    flow.w *= 1.0f / FACTOR_H;
    const Blend blend(x, y, flow, mask, a.width >> SUBSAMPLING_W, a.height >> SUBSAMPLING_H);
#pragma unroll
    for (int plane = 1; plane < PLANES; ++plane)
        *sample_at(a.out[plane], x, y) = blend(a, plane);
}

#endif

KERNEL(synthesize, THREADS, SynthesisArguments)
{
    SHARED Field field;
    const int left = blockIdx.x * TILE_WIDTH, top = blockIdx.y * TILE_HEIGHT;
    // The border lies on the side that the windows reach over, if they reach over one. Chroma samples lie at the left,
    // the centre, the top or the bottom of their luma samples: to the right no window reaches over.
    const int before_x = a.across.first < 0 ? BORDER_W : 0, before_y = max(0, -a.down.first);
    const int after_y = max(0, a.down.first + a.down.taps - FACTOR_H);
    const int runs = (TILE_WIDTH + before_x) / RUN, rows = TILE_HEIGHT + before_y + after_y;
    EACH_THREAD
    {
        for (int task = threadIdx.x; task < runs * rows; task += THREADS)
        {
            const int field_x = task % runs * RUN, field_y = task / runs;
            const int x = left - before_x + field_x, y = top - before_y + field_y;
            const bool visible = x >= left && x < min(left + TILE_WIDTH, a.width) && y >= top &&
                                 y < min(top + TILE_HEIGHT, a.height);
            if (SUBSAMPLED || visible)
                make_run(a, field, x, y, field_x, field_y, visible);
        }
    }
#if SUBSAMPLING_W || SUBSAMPLING_H
    BARRIER
    EACH_THREAD
    {
        constexpr int width = TILE_WIDTH >> SUBSAMPLING_W, height = TILE_HEIGHT >> SUBSAMPLING_H;
        for (int task = threadIdx.x; task < width * height; task += THREADS)
        {
            const int x = (left >> SUBSAMPLING_W) + task % width, y = (top >> SUBSAMPLING_H) + task / width;
            if (x < a.width >> SUBSAMPLING_W && y < a.height >> SUBSAMPLING_H)
                make_chroma(a, field, x, y, left - before_x, top - before_y);
        }
    }
#endif
}
