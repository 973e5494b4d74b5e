// Lets a compiler of the host take the CUDA sources: a kernel becomes a function that runs its blocks one by one, and
// every phase of a block as a loop over its threads. See vsrife/engine/backend/cuda/kernels/common.cuh.
#pragma once
#include <math.h>
#include <stddef.h>
#include <string.h>

inline int min(int one, int other)
{
    return one < other ? one : other;
}

inline int max(int one, int other)
{
    return one > other ? one : other;
}

struct Dimensions
{
    unsigned x, y, z;
};

static Dimensions blockIdx, blockDim, gridDim, threadIdx;

struct float2
{
    float x, y;
};

struct alignas(16) float4
{
    float x, y, z, w;
};

struct alignas(8) uint2
{
    unsigned x, y;
};

struct alignas(16) uint4
{
    unsigned x, y, z, w;
};

inline float2 make_float2(float x, float y)
{
    return float2{x, y};
}

inline float4 make_float4(float x, float y, float z, float w)
{
    return float4{x, y, z, w};
}

template <class T> inline T __ldg(const T *from)
{
    return *from;
}

inline float __fdividef(float one, float other)
{
    return one / other;
}

inline float __uint_as_float(unsigned bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

inline unsigned __float_as_uint(float value)
{
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

struct f16;

inline float float_of_half(unsigned short bits)
{
    _Float16 half;
    memcpy(&half, &bits, sizeof half);
    return static_cast<float>(half);
}

inline unsigned half_of_float(float value)
{
    const _Float16 half = static_cast<_Float16>(value);
    unsigned short bits;
    memcpy(&bits, &half, sizeof bits);
    return bits;
}

template <class T> inline void widen(unsigned word, T, float &first, float &second)
{
    first = float_of_half(static_cast<unsigned short>(word));
    second = float_of_half(static_cast<unsigned short>(word >> 16));
}

template <class T> inline unsigned narrow(T, float first, float second)
{
    return half_of_float(first) | half_of_float(second) << 16;
}

static bool thread_begins(unsigned thread)
{
    if (thread >= blockDim.x * blockDim.y)
        return false;
    threadIdx = Dimensions{thread % blockDim.x, thread / blockDim.x, 0};
    return true;
}

#define INLINE inline
#define SHARED static
#define EACH_THREAD for (unsigned thread = 0; thread_begins(thread); ++thread)
#define BARRIER

#define KERNEL(name, threads, Arguments)                                                               \
    static void name##_block(const Arguments &a);                                                      \
    extern "C" void name(const Arguments &a, const Dimensions &grid, const Dimensions &block)          \
    {                                                                                                  \
        gridDim = grid;                                                                                \
        blockDim = block;                                                                              \
        for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)                                        \
            for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)                                    \
                for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x)                                \
                    name##_block(a);                                                                   \
    }                                                                                                  \
    extern "C" size_t name##_arguments()                                                               \
    {                                                                                                  \
        return sizeof(Arguments);                                                                      \
    }                                                                                                  \
    static_assert(threads <= 1024, "more threads than a block can have");                              \
    static void name##_block(const Arguments &a)
