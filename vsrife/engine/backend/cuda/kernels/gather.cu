// What a block reads, at its own resolution: both packed sources, warped by the flow so far, then time, mask, flow and
// hidden channels. The definition is vsrife.network (`IFNet.step`, `backward_warp`).
// From outside: NUMBER, CHANNELS of a packed source (a multiple of 4), SCALE (canvas pixels per cell: 1, 2, 4, ...), and
// what levels.cuh names; without levels (LEVELS 0) nothing is warped, and of the rest there is the time alone.
//
// A cell is the mean of the 2x2 pixels at its centre, or the pixel itself where SCALE is 1. First the flow at a tile's
// pixels goes to shared memory, made once for both sources, with taps shared among the pixels of a thread; then two
// threads side by side take a cell, one for each source: what they write are whole sectors of 32 bytes, and a warp's
// reads of either source lie together wherever the flow is smooth.
#include "levels.cuh"
#include "pair.cuh"

struct GatherArguments
{
    const Pair *pair;
    Level levels[LEVELS ? LEVELS : 1];
    Number *out; // [rows, width, OUTPUTS]
    int canvas_width, canvas_height;
    int width, first_row, rows; // of the block's own grid, whose rows first_row .. first_row + rows - 1 are written
};

constexpr int TAIL_USED = LEVELS ? 1 + KNOWN : 1;
constexpr int TAIL = (TAIL_USED + 7) / 8 * 8; // two sources are a multiple of 8 already
constexpr int OUTPUTS = 2 * CHANNELS + TAIL;
constexpr int POINTS = SCALE == 1 ? 1 : 4;

// With one point a cell the first phase is a thread for RUN cells; it pays on grids as large as the canvas. Coarser
// grids are small, and small tiles spread them over all of the processor.
constexpr bool RUNS = LEVELS && SCALE == 1;
constexpr int TILE_WIDTH = RUNS ? 64 : 16, TILE_HEIGHT = RUNS ? 16 : 4, CELLS = TILE_WIDTH * TILE_HEIGHT;
constexpr int THREADS = RUNS ? 256 : 128;

// Cells that a thread works on at a time: two hide more of the memory's latency, if registers last.
constexpr int AT_ONCE = CHANNELS > 8 ? 1 : 2;

struct Tile
{
    float2 flow[POINTS][CELLS][2]; // of each point of each cell, to either source; a point's cells lie together
};

// The canvas pixel that a cell's first point is.
INLINE int first_point(int cell)
{
    return SCALE == 1 ? cell : cell * SCALE + SCALE / 2 - 1;
}

#if LEVELS

INLINE void keep(Tile &tile, int point, int cell, const float *flow)
{
    tile.flow[point][cell][0] = make_float2(flow[0], flow[1]);
    tile.flow[point][cell][1] = make_float2(flow[2], flow[3]);
}

// Time, mask, flow in pixels of this block, hidden channels.
INLINE void describe(const Known &known, float time, float (&tail)[TAIL])
{
    tail[0] = time;
    tail[1] = known.channels[FLOW];
#pragma unroll
    for (int channel = 0; channel < FLOW; ++channel)
        tail[2 + channel] = known.channels[channel] * (1.0f / SCALE);
#pragma unroll
    for (int channel = 2 + FLOW; channel < TAIL; ++channel)
        tail[channel] = channel < TAIL_USED ? known.channels[channel - 1] : 0.0f;
}

#if SCALE == 1

INLINE void prepare(const GatherArguments &a, Tile &tile, int left, int top)
{
    const int column = threadIdx.x % (TILE_WIDTH / RUN) * RUN, row = threadIdx.x / (TILE_WIDTH / RUN);
    if (left + column >= a.width || top + row >= a.rows)
        return;
    Known known[RUN];
    know_run(a.levels, left + column, a.first_row + top + row, known);
    Number *out = a.out + (static_cast<size_t>(top + row) * a.width + left + column) * OUTPUTS + 2 * CHANNELS;
    const float time = a.pair->time;
#pragma unroll
    for (int point = 0; point < RUN; ++point)
    {
        keep(tile, 0, row * TILE_WIDTH + column + point, known[point].channels);
        float tail[TAIL];
        describe(known[point], time, tail);
        if (left + column + point < a.width)
            store(out + static_cast<size_t>(point) * OUTPUTS, tail);
    }
}

#else

// The flow of all levels at two points side by side. Every level's pixels are at least two cells wide and their centres
// lie on cells' borders, so no cell's points are parted by one.
template <int LEVEL = 0> INLINE void move_points(const Level *levels, int x, int y, float (&flow)[2][FLOW])
{
    constexpr int scale = scale_of(LEVEL);
    static_assert(scale >= 2 * SCALE, "a block is finer than the levels before it");
    within_patch<scale, FLOW, 2>(
        Rows<scale>(levels[LEVEL], place<scale>(y, 0.5f)), place<scale>(x, 0.5f),
        [&](int point, const auto &output) {
#pragma unroll
            for (int channel = 0; channel < FLOW; ++channel)
            {
                const float moved = output[channel] * scale;
                flow[point][channel] = LEVEL == 0 ? moved : flow[point][channel] + moved;
            }
        });
    if constexpr (LEVEL + 1 < LEVELS)
        move_points<LEVEL + 1>(levels, x, y, flow);
}

// All levels at the very centre of a cell: the mean of its four points.
template <int LEVEL = 0> INLINE void know_centre(const Level *levels, int x, int y, Known &known)
{
    constexpr int scale = scale_of(LEVEL);
    within_patch<scale, fetched(used_of(LEVEL)), 1>(
        Rows<scale>(levels[LEVEL], place<scale>(y, 0.0f)), place<scale>(x, 0.0f),
        [&](int, const auto &output) { add_level<LEVEL>(output, known); });
    if constexpr (LEVEL + 1 < LEVELS)
        know_centre<LEVEL + 1>(levels, x, y, known);
}

// Half of the tile's threads take the upper points of a cell and the first eight numbers beside the sources, half the
// lower points and the rest.
template <int HALF> INLINE void prepare_half(const GatherArguments &a, Tile &tile, int cell, int x, int y)
{
    float flow[2][FLOW];
    move_points(a.levels, first_point(x), first_point(a.first_row + y) + HALF, flow);
    keep(tile, 2 * HALF, cell, flow[0]);
    keep(tile, 2 * HALF + 1, cell, flow[1]);
    if constexpr (8 * HALF < TAIL)
    {
        Known known;
        know_centre(a.levels, x * SCALE + SCALE / 2, (a.first_row + y) * SCALE + SCALE / 2, known);
        float tail[TAIL], half[8];
        describe(known, a.pair->time, tail);
#pragma unroll
        for (int number = 0; number < 8; ++number)
            half[number] = tail[8 * HALF + number];
        store(a.out + (static_cast<size_t>(y) * a.width + x) * OUTPUTS + 2 * CHANNELS + 8 * HALF, half);
    }
}

INLINE void prepare(const GatherArguments &a, Tile &tile, int left, int top)
{
    const int cell = threadIdx.x % CELLS, x = left + cell % TILE_WIDTH, y = top + cell / TILE_WIDTH;
    if (x >= a.width || y >= a.rows)
        return;
    if (threadIdx.x < CELLS)
        prepare_half<0>(a, tile, cell, x, y);
    else
        prepare_half<1>(a, tile, cell, x, y);
}

#endif
#endif

// Where a row and a column begin in a source, which has fewer than 2^32 numbers.
INLINE unsigned row_of(const GatherArguments &a, int y)
{
    return static_cast<unsigned>(clamped(y, a.canvas_height - 1)) * a.canvas_width * CHANNELS;
}

INLINE unsigned column_of(const GatherArguments &a, int x)
{
    return static_cast<unsigned>(clamped(x, a.canvas_width - 1)) * CHANNELS;
}

INLINE void add_pixel(const Number *pixel, float weight, float (&sum)[CHANNELS])
{
    float channels[CHANNELS];
    load(pixel, channels);
#pragma unroll
    for (int channel = 0; channel < CHANNELS; ++channel)
        sum[channel] += weight * channels[channel];
}

// Bilinear at (x, y) moved by the flow; out of the canvas, its edge. A place is a whole pixel and a fraction, and the
// fraction is the flow's alone: as exact at the far end of 8192 pixels as at the first.
INLINE void add_sample(const Number *source, const GatherArguments &a, int x, int y, float2 flow,
                       float (&sum)[CHANNELS])
{
    const SplitOffset across = split_offset(flow.x), down = split_offset(flow.y);
    const unsigned left = column_of(a, x + across.whole), right = column_of(a, x + across.whole + 1);
    const unsigned upper = row_of(a, y + down.whole), lower = row_of(a, y + down.whole + 1);
    add_pixel(source + (upper + left), (1.0f - across.rest) * (1.0f - down.rest), sum);
    add_pixel(source + (upper + right), across.rest * (1.0f - down.rest), sum);
    add_pixel(source + (lower + left), (1.0f - across.rest) * down.rest, sum);
    add_pixel(source + (lower + right), across.rest * down.rest, sum);
}

INLINE void sample(const GatherArguments &a, const Tile &tile, const Number *source, int side, int cell, int x, int y)
{
    const int column = first_point(x), row = first_point(a.first_row + y);
    float sum[CHANNELS] = {};
#pragma unroll
    for (int point = 0; point < POINTS; ++point)
    {
        if (LEVELS)
            add_sample(source, a, column + point % 2, row + point / 2, tile.flow[point][cell][side], sum);
        else
            add_pixel(source + (row_of(a, row + point / 2) + column_of(a, column + point % 2)), 1.0f, sum);
    }
#pragma unroll
    for (int channel = 0; channel < CHANNELS; ++channel)
        sum[channel] *= 1.0f / POINTS;
    Number *out = a.out + (static_cast<size_t>(y) * a.width + x) * OUTPUTS;
    store(out + side * CHANNELS, sum);
    if (!LEVELS && side == 0)
    {
        const float tail[TAIL] = {a.pair->time};
        store(out + 2 * CHANNELS, tail);
    }
}

KERNEL(gather, THREADS, GatherArguments)
{
    SHARED Tile tile;
    const int left = blockIdx.x * TILE_WIDTH, top = blockIdx.y * TILE_HEIGHT;
#if LEVELS
    EACH_THREAD prepare(a, tile, left, top);
    BARRIER
#endif
    EACH_THREAD
    {
        const int side = threadIdx.x % 2;
        const Number *source = static_cast<const Number *>(side ? a.pair->right : a.pair->left);
#pragma unroll(AT_ONCE)
        for (int cell = threadIdx.x / 2; cell < CELLS; cell += THREADS / 2)
        {
            const int x = left + cell % TILE_WIDTH, y = top + cell / TILE_WIDTH;
            if (x < a.width && y < a.rows)
                sample(a, tile, source, side, cell, x, y);
        }
    }
}
