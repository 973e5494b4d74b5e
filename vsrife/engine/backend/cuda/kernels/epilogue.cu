// What follows a convolution, in place: y = activation(y + bias + residual), leaky ReLU or one slope per channel.
// From outside: NUMBER; VECTOR, numbers per access, of which the channels are a multiple; RESIDUAL, SLOPES and JOINS, 0
// or 1. Where it joins, y is not read: its first term lies in parts, the rows of y from top to bottom.
//
// Nothing but memory traffic: a thread moves 16 bytes where the channels allow it, and the sum is rounded once.
#include "common.cuh"

struct EpilogueArguments
{
    Number *y; // [pixels, channels]
    const Number *bias, *residual, *slopes;
    unsigned vectors, per_pixel; // VECTOR numbers each: in all, and in a pixel
    float slope;
#if JOINS
    unsigned per_part; // vectors of each part but the last
    const Number *parts[32];
#endif
};

#if VECTOR == 1 // an odd number of channels: no vector holds a single 16-bit number
template <class Narrow> INLINE float widened(const Narrow *from)
{
    float value, other;
    widen(from->bits, *from, value, other);
    return value;
}

INLINE float widened(const float *from)
{
    return *from;
}

template <class Narrow> INLINE void put(Narrow *to, float value)
{
    to->bits = static_cast<unsigned short>(narrow(*to, value, 0.0f));
}

INLINE void put(float *to, float value)
{
    *to = value;
}
#endif

template <bool READ_ONLY> INLINE void get(const Number *from, float (&to)[VECTOR])
{
#if VECTOR == 1
    to[0] = widened(from);
#else
    load<VECTOR, READ_ONLY>(from, to);
#endif
}

INLINE void put(Number *to, const float (&from)[VECTOR])
{
#if VECTOR == 1
    put(to, from[0]);
#else
    store(to, from);
#endif
}

template <int COUNT> INLINE void add(const float (&other)[COUNT], float (&sum)[COUNT])
{
#pragma unroll
    for (int number = 0; number < COUNT; ++number)
        sum[number] += other[number];
}

KERNEL(epilogue, 256, EpilogueArguments)
{
    EACH_THREAD
    {
        const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
        if (index >= a.vectors)
            continue;
        const unsigned channel = index % a.per_pixel * VECTOR;
        const size_t first = static_cast<size_t>(index) * VECTOR;
        float sum[VECTOR], other[VECTOR];
#if JOINS
        get<true>(a.parts[index / a.per_part] + static_cast<size_t>(index % a.per_part) * VECTOR, sum);
#else
        get<false>(a.y + first, sum);
#endif
        get<true>(a.bias + channel, other);
        add(other, sum);
        if (RESIDUAL)
        {
            get<true>(a.residual + first, other);
            add(other, sum);
        }
        if (SLOPES)
            get<true>(a.slopes + channel, other);
#pragma unroll
        for (int number = 0; number < VECTOR; ++number)
        {
            const float slope = SLOPES ? other[number] : a.slope;
            sum[number] = sum[number] < 0.0f ? sum[number] * slope : sum[number];
        }
        put(a.y + first, sum);
    }
}
