// Scene statistics in integers: sums over the cells of a signature, and whether a pair stands still.
// The definitions are vsrife.scene.signature.signature and vsrife.scene.duplicates.is_still, equal to the last integer.
// From outside: SAMPLE.
#include "common.cuh"

constexpr int THREADS = 256;

// A sample as vsrife.scene.block_sums.as_integers has it: floats are read as 0..1, quantised to 16 bits.
INLINE unsigned quantised(float sample)
{
    const float unit = sample != sample ? 0.0f : fminf(fmaxf(sample, 0.0f), 1.0f);
    return static_cast<unsigned>(rintf(unit * 65535.0f)); // one multiplication and one rounding: nothing to contract
}

INLINE unsigned quantised(f16 sample)
{
    return quantised(widened(sample));
}

INLINE unsigned quantised(u8 sample)
{
    return sample;
}

INLINE unsigned quantised(u16 sample)
{
    return sample;
}

// Whether two samples may be compared once quantised: floats out of 0..1 may not.
INLINE bool comparable(float left, float right)
{
    return left >= 0.0f && left <= 1.0f && right >= 0.0f && right <= 1.0f;
}

INLINE bool comparable(f16 left, f16 right)
{
    return comparable(widened(left), widened(right));
}

template <class Integer> INLINE bool comparable(Integer, Integer)
{
    return true;
}

INLINE unsigned bits_of(float sample)
{
    return __float_as_uint(sample);
}

INLINE unsigned bits_of(f16 sample)
{
    return sample.bits;
}

template <class Integer> INLINE unsigned bits_of(Integer sample)
{
    return sample;
}

struct SumsArguments
{
    Plane planes[3];
    unsigned weights[3];
    i64 *sums; // [rows, columns] of cells
    int count, width, height, cell;
};

// A block of threads sums a cell, so that no sum meets another one in memory.
KERNEL(signature_sums, THREADS, SumsArguments)
{
    SHARED u64 partial[THREADS];
    const int left = blockIdx.x * a.cell, top = blockIdx.y * a.cell;
    const int right = min(left + a.cell, a.width), bottom = min(top + a.cell, a.height);
    EACH_THREAD
    {
        // A warp reads along a row.
        u64 sum = 0;
        for (int plane = 0; plane < a.count; ++plane)
            for (int y = top + threadIdx.x / 32; y < bottom; y += THREADS / 32)
                for (int x = left + threadIdx.x % 32; x < right; x += 32)
                    sum += a.weights[plane] * quantised(read(sample_at(a.planes[plane], x, y)));
        partial[threadIdx.x] = sum;
    }
    BARRIER
    for (unsigned half = THREADS / 2; half > 0; half /= 2)
    {
        EACH_THREAD if (threadIdx.x < half)
            partial[threadIdx.x] += partial[threadIdx.x + half];
        BARRIER
    }
    EACH_THREAD if (threadIdx.x == 0)
        a.sums[blockIdx.y * static_cast<size_t>(gridDim.x) + blockIdx.x] = static_cast<i64>(partial[0]);
}

constexpr int BLOCK = 8;

struct StillArguments
{
    Plane left[3], right[3];
    int width[3], height[3];
    u64 limits[3][4]; // largest sum of a whole block, one cut at the right, at the bottom, at both
    int *moved;                // becomes 1 if a block of any plane exceeds its limit
};

// A block of threads takes a row of BLOCK x BLOCK blocks: a thread sums the squares of a column, then one adds the
// columns of a block. Rows are read whole, and all of a thread's reads are independent.
KERNEL(still, THREADS, StillArguments)
{
    SHARED u64 columns[THREADS];
    const int plane = blockIdx.z, left = blockIdx.x * THREADS, top = blockIdx.y * BLOCK;
    const int width = a.width[plane], height = a.height[plane];
    EACH_THREAD
    {
        const int x = left + threadIdx.x;
        u64 sum = 0;
        bool apart = false;
#pragma unroll
        for (int row = 0; row < BLOCK; ++row)
        {
            const int y = top + row;
            if (x >= width || y >= height)
                continue;
            const Sample first = read(sample_at(a.left[plane], x, y)), second = read(sample_at(a.right[plane], x, y));
            const unsigned one = quantised(first), other = quantised(second);
            const unsigned step = one > other ? one - other : other - one;
            sum += step * step; // of at most 65535: below 2^32
            apart |= bits_of(first) != bits_of(second) && !comparable(first, second);
        }
        columns[threadIdx.x] = sum;
        if (apart)
            *a.moved = 1;
    }
    BARRIER
    EACH_THREAD
    {
        const int x = left + threadIdx.x * BLOCK;
        if (threadIdx.x >= THREADS / BLOCK || x >= width || top >= height)
            continue;
        u64 sum = 0;
        for (int column = 0; column < BLOCK; ++column)
            sum += columns[threadIdx.x * BLOCK + column];
        const int cut = (x + BLOCK > width ? 1 : 0) + (top + BLOCK > height ? 2 : 0);
        if (sum > a.limits[plane][cut])
            *a.moved = 1;
    }
}
