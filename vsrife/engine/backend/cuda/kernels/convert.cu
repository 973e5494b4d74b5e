// Native planes to what the network sees: R, G, B in 0..1 in channels 0..2 of a packed source, all else zero.
// The definition is vsrife.formats.rgb.to_rgb. From outside: NUMBER, SAMPLE, CHANNELS (a multiple of 4).
//
// A thread makes one canvas pixel and writes all its channels at once: a warp's writes, nearly all of the traffic, are
// one run of memory. Samples are read one by one; neighbours and the two rows of a block share them in the cache.
#include "common.cuh"

enum Family
{
    GRAY,
    RGB,
    MATRIX,
    YCGCO,
};

struct ConvertArguments
{
    Plane planes[3];
    Number *out; // [canvas_height, canvas_width, CHANNELS]
    int width, height, canvas_width, canvas_height;
    int family, linear;
    int chroma_width, chroma_height;
    float site_x, site_y;   // luma samples from luma sample (0, 0) to chroma sample (0, 0)
    float step_x, step_y;   // chroma samples per luma sample
    float luma_zero, luma_unit, chroma_zero, chroma_unit;
    float red_v, green_u, green_v, blue_u;
};

INLINE float normalised(const Plane &plane, int x, int y, float zero, float unit)
{
    return (number_of(read(sample_at(plane, x, y))) - zero) * unit;
}

// The two chroma samples around a luma sample, along one axis.
struct Around
{
    int first, second;
    float weight;
};

INLINE Around around(int luma, float site, float step, int size)
{
    const float place = fminf(fmaxf((luma - site) * step, 0.0f), size - 1.0f);
    const int first = static_cast<int>(place);
    return Around{first, min(first + 1, size - 1), place - first};
}

INLINE float chroma_at(const ConvertArguments &a, int plane, const Around &x, const Around &y)
{
    float sides[2];
#pragma unroll
    for (int side = 0; side < 2; ++side)
    {
        const int column = side ? x.second : x.first;
        const float upper = normalised(a.planes[plane], column, y.first, a.chroma_zero, a.chroma_unit);
        const float lower = normalised(a.planes[plane], column, y.second, a.chroma_zero, a.chroma_unit);
        sides[side] = between(upper, lower, y.weight);
    }
    return between(sides[0], sides[1], x.weight);
}

// Limited to 0..1, and along sRGB's curve if the samples are proportional to light.
INLINE float shown(float value, int linear)
{
    value = fminf(fmaxf(value, 0.0f), 1.0f);
    if (!linear)
        return value;
    return value <= 0.0031308f ? value * 12.92f : powf(value, 1.0f / 2.4f) * 1.055f - 0.055f;
}

INLINE void decode(const ConvertArguments &a, int x, int y, float (&rgb)[CHANNELS])
{
    const float first = normalised(a.planes[0], x, y, a.luma_zero, a.luma_unit);
    if (a.family == GRAY)
    {
        rgb[0] = rgb[1] = rgb[2] = first;
        return;
    }
    if (a.family == RGB)
    {
        rgb[0] = first;
        rgb[1] = normalised(a.planes[1], x, y, a.luma_zero, a.luma_unit);
        rgb[2] = normalised(a.planes[2], x, y, a.luma_zero, a.luma_unit);
        return;
    }
    const Around across = around(x, a.site_x, a.step_x, a.chroma_width);
    const Around down = around(y, a.site_y, a.step_y, a.chroma_height);
    const float u = chroma_at(a, 1, across, down), v = chroma_at(a, 2, across, down);
    if (a.family == YCGCO)
    {
        const float rest = first - u;
        rgb[0] = rest + v;
        rgb[1] = first + u;
        rgb[2] = rest - v;
        return;
    }
    rgb[0] = first + a.red_v * v;
    rgb[1] = first + a.green_u * u + a.green_v * v;
    rgb[2] = first + a.blue_u * u;
}

KERNEL(convert, 256, ConvertArguments)
{
    EACH_THREAD
    {
        const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
        if (x >= a.canvas_width || y >= a.canvas_height)
            continue;
        float pixel[CHANNELS] = {};
        if (x < a.width && y < a.height)
        {
            decode(a, x, y, pixel);
#pragma unroll
            for (int channel = 0; channel < 3; ++channel)
                pixel[channel] = shown(pixel[channel], a.linear);
        }
        store(a.out + (static_cast<size_t>(y) * a.canvas_width + x) * CHANNELS, pixel);
    }
}
