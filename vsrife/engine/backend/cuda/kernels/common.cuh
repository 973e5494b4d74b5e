// Shared header of the kernels: portability macros, number types, loads and stores of vectors.
//
// These sources are C++17 that a compiler of the host takes as well. A kernel is a row of phases: EACH_THREAD { ... }
// is run by every thread of the block, `continue` leaves it, BARRIER between two of them waits for all threads, and
// what outlives a phase is SHARED. On a GPU that is a plain kernel; the tests' shim makes each phase a loop over the
// threads. No warp-wide operation, no header of CUDA. Defined from outside are the macros that each file names.
#pragma once

#ifdef __CUDACC_RTC__
#define INLINE __device__ __forceinline__
#define SHARED __shared__
#define EACH_THREAD for (bool once = true; once; once = false)
#define BARRIER __syncthreads();
#define KERNEL(name, threads, Arguments) \
    extern "C" __global__ void __launch_bounds__(threads) name(__grid_constant__ const Arguments a)
#else
#include "shim.h"
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef long long i64;
typedef unsigned long long u64;

struct f16
{
    unsigned short bits;
};

struct bf16
{
    unsigned short bits;
};

constexpr float LARGEST_FLOAT = 3.402823466e38f;
constexpr float LARGEST_HALF = 65504.0f;

// Two numbers of 16 bits in a word, the first one in its lower half.

#ifdef __CUDACC_RTC__
INLINE void widen(unsigned word, f16, float &first, float &second)
{
    asm("{ .reg .b16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high; }"
        : "=f"(first), "=f"(second)
        : "r"(word));
}

INLINE unsigned narrow(f16, float first, float second)
{
    unsigned word;
#if __CUDA_ARCH__ >= 800
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
#else
    asm("{ .reg .b16 low, high; cvt.rn.f16.f32 low, %1; cvt.rn.f16.f32 high, %2; mov.b32 %0, {low, high}; }"
        : "=r"(word)
        : "f"(first), "f"(second));
#endif
    return word;
}
#endif

INLINE void widen(unsigned word, bf16, float &first, float &second)
{
    first = __uint_as_float(word << 16);
    second = __uint_as_float(word & 0xffff0000u);
}

// To nearest, halves to even; NaN stays NaN.
INLINE unsigned rounded_bf16(float value)
{
    const unsigned bits = __float_as_uint(value);
    return value != value ? 0x7fc0u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

INLINE unsigned narrow(bf16, float first, float second)
{
    return rounded_bf16(first) | rounded_bf16(second) << 16;
}

INLINE float widened(f16 number)
{
    float value, other;
    widen(number.bits, number, value, other);
    return value;
}

INLINE int clamped(int value, int last)
{
    return min(max(value, 0), last);
}

// Between two numbers, at a weight of 0 up to, but not, 1: exactly the first at 0, and of equal numbers that number.
INLINE float between(float first, float second, float weight)
{
    return first + weight * (second - first);
}

// A movement as whole samples and the rest of one. NaN is no movement; farther than FARTHEST is beyond any picture.
struct SplitOffset
{
    int whole;
    float rest;
};

constexpr float FARTHEST = 65536.0f;

INLINE SplitOffset split_offset(float flow)
{
    flow = flow != flow ? 0.0f : fminf(fmaxf(flow, -FARTHEST), FARTHEST);
    const float whole = floorf(flow);
    return SplitOffset{static_cast<int>(whole), flow - whole};
}

// NaN counts as 0, infinity as the largest half.
INLINE float finite(float value)
{
    if (value != value)
        return 0.0f;
    return value > LARGEST_FLOAT ? LARGEST_HALF : value < -LARGEST_FLOAT ? -LARGEST_HALF : value;
}

#ifdef NUMBER // f16, bf16 or float: what the network computes in.

typedef NUMBER Number;

INLINE void from_words(const unsigned *words, int index, float, float *to)
{
    to[index] = __uint_as_float(words[index]);
}

template <class Narrow> INLINE void from_words(const unsigned *words, int index, Narrow type, float *to)
{
    if (index % 2 == 0)
        widen(words[index / 2], type, to[index], to[index + 1]);
}

INLINE void to_words(const float *from, int index, float, unsigned *words)
{
    words[index] = __float_as_uint(from[index]);
}

template <class Narrow> INLINE void to_words(const float *from, int index, Narrow type, unsigned *words)
{
    if (index % 2 == 0)
        words[index / 2] = narrow(type, from[index], from[index + 1]);
}

template <int WORDS> struct Vector;
template <> struct Vector<1>
{
    typedef unsigned Type;
};
template <> struct Vector<2>
{
    typedef uint2 Type;
};
template <> struct Vector<4>
{
    typedef uint4 Type;
};

// Words per access of COUNT numbers that lie at a multiple of their own size: as few accesses as there can be.
INLINE constexpr int access_words(int count)
{
    const int words = count * static_cast<int>(sizeof(Number)) / 4;
    return words % 4 == 0 ? 4 : words % 2 == 0 ? 2 : 1;
}

template <int COUNT> INLINE void widen_words(const unsigned *words, float (&to)[COUNT])
{
#pragma unroll
    for (int index = 0; index < COUNT; ++index)
        from_words(words, index, Number(), to);
}

template <int COUNT> INLINE void narrow_words(const float (&from)[COUNT], unsigned *words)
{
#pragma unroll
    for (int index = 0; index < COUNT; ++index)
        to_words(from, index, Number(), words);
}

// COUNT numbers, an even count of 16-bit ones, at a multiple of the largest power of two in their size, up to 16 bytes.
// Memory that the kernel writes as well must not come through the read-only path.
template <int COUNT, bool READ_ONLY = true> INLINE void load(const Number *from, float (&to)[COUNT])
{
    constexpr int words = COUNT * static_cast<int>(sizeof(Number)) / 4, step = access_words(COUNT);
    typedef typename Vector<step>::Type Access;
    union {
        unsigned single[words];
        Access access[words / step];
    } memory;
#pragma unroll
    for (int index = 0; index < words / step; ++index)
    {
        const Access *access = reinterpret_cast<const Access *>(from) + index;
        memory.access[index] = READ_ONLY ? __ldg(access) : *access;
    }
    widen_words(memory.single, to);
}

template <int COUNT> INLINE void store(Number *to, const float (&from)[COUNT])
{
    constexpr int words = COUNT * static_cast<int>(sizeof(Number)) / 4, step = access_words(COUNT);
    typedef typename Vector<step>::Type Access;
    union {
        unsigned single[words];
        Access access[words / step];
    } memory;
    narrow_words(from, memory.single);
#pragma unroll
    for (int index = 0; index < words / step; ++index)
        reinterpret_cast<Access *>(to)[index] = memory.access[index];
}

#endif

// A plane of a frame, in the format's own samples; rows are `pitch` bytes apart, the whole below 4 GiB.
struct Plane
{
    void *data;
    unsigned pitch;
};

#ifdef SAMPLE // u8, u16, f16 or float: what a plane holds.

typedef SAMPLE Sample;

// One wide addition an access: what comes before it is 32 bits.
INLINE Sample *sample_at(const Plane &plane, int x, int y)
{
    const unsigned offset = static_cast<unsigned>(y) * plane.pitch + static_cast<unsigned>(x) * sizeof(Sample);
    return reinterpret_cast<Sample *>(static_cast<char *>(plane.data) + offset);
}

INLINE float number_of(u8 sample)
{
    return static_cast<float>(sample);
}

INLINE float number_of(u16 sample)
{
    return static_cast<float>(sample);
}

INLINE float number_of(f16 sample)
{
    return finite(widened(sample));
}

INLINE float number_of(float sample)
{
    return finite(sample);
}

INLINE u8 read(const u8 *sample)
{
    return __ldg(sample);
}

INLINE u16 read(const u16 *sample)
{
    return __ldg(sample);
}

INLINE f16 read(const f16 *sample)
{
    return f16{__ldg(&sample->bits)};
}

INLINE float read(const float *sample)
{
    return __ldg(sample);
}

#endif
