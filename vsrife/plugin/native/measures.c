/* What cuts and still pairs of frames in host memory are decided by, computed without the GIL: cffi releases it around
 * each of these calls.
 *
 * vsrife/video defines the numbers (signature and cut_score in cuts.py, is_still in still.py), and these functions return
 * the very same ones on every machine. For that each operation is on integers, on whole numbers below 2^53 in a double,
 * or one IEEE operation that stands here in the definition's order; the compiler must not fuse a multiplication with an
 * addition (CMakeLists.txt has the option of other compilers). All are pure functions of their arguments, for any number of threads.
 */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef _MSC_VER
#pragma fp_contract(off)
#endif

/* Compiled twice, for any x86-64 and for AVX2 (without fused operations), and chosen between when the library is loaded.
 * This needs GCC and glibc's indirect functions; elsewhere there is one version. The results do not differ. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define VECTORIZED __attribute__((target_clones("avx2", "default")))
#else
#define VECTORIZED
#endif

static inline int least(int a, int b) { return a < b ? a : b; }
static inline int most(int a, int b) { return a > b ? a : b; }

/* ---- Samples of a plane ---- */

enum { UINT8, UINT16, HALF, FLOAT }; /* types of samples, as vsrife/plugin/measures.py numbers them */
enum { TILE = 4096 };                /* samples of a row that are worked on at a time; whole blocks */

static ptrdiff_t size_of(int type) { return type == UINT8 ? 1 : type == FLOAT ? 4 : 2; }

/* A float by its bits, those of 0..1, to 0..65535, rounded half to even. */
static inline uint32_t quantised(int32_t bits) {
    float unit;
    memcpy(&unit, &bits, sizeof unit);
    /* From 2^23 on a float has no fraction: the addition rounds, the subtraction is exact. */
    return (uint32_t)(int32_t)(unit * 65535.0f + 8388608.0f - 8388608.0f);
}

/* The bits of a float, clamped to 0..1; NaN becomes 0. Those of positive floats are in order, NaN is above infinity. */
static inline int32_t clamped_float(int32_t bits) {
    int32_t number = bits > 0x7F800000 ? 0 : bits;
    return least(most(number, 0), 0x3F800000);
}

/* The bits of a half, clamped likewise, as those of a float. Made of normal floats, which no mode of a processor flushes. */
static inline int32_t clamped_half(int32_t bits) {
    int32_t number = least(bits > 0x7C00 ? 0 : bits, 0x3C00); /* negative ones are above NaN */
    int32_t exponent = number >> 10, scale_bits = (most(exponent, 1) + 102) << 23;
    float scale, value;
    memcpy(&scale, &scale_bits, sizeof scale);
    value = (float)((number & 1023) + 1024 * (exponent > 0)) * scale;
    memcpy(&number, &value, sizeof number);
    return number;
}

/* The first `count` samples of a row as integers, floats quantised to 16 bits, written to `out` or added to it. */
static inline void integers(const void *row, int type, int count, int add, uint32_t *restrict out) {
    if (type == UINT8) {
        const uint8_t *samples = row;
        for (int x = 0; x < count; x++)
            out[x] = (add ? out[x] : 0) + samples[x];
    } else if (type == UINT16) {
        const uint16_t *samples = row;
        for (int x = 0; x < count; x++)
            out[x] = (add ? out[x] : 0) + samples[x];
    } else if (type == HALF) {
        const uint16_t *samples = row;
        for (int x = 0; x < count; x++)
            out[x] = (add ? out[x] : 0) + quantised(clamped_half(samples[x]));
    } else {
        const int32_t *samples = row;
        for (int x = 0; x < count; x++)
            out[x] = (add ? out[x] : 0) + quantised(clamped_float(samples[x]));
    }
}

/* Whether float samples of two rows differ by a bit where either is not in 0..1 (-0 is), so that quantising hides it.
 * Decided on their bits: those of 0..1 are in order. */
static inline int differ_out_of_range(const void *left, const void *right, int type, int count) {
    uint32_t found = 0;
    if (type == HALF) {
        const uint16_t *a = left, *b = right;
        for (int x = 0; x < count; x++)
            found |= (a[x] != b[x]) & !(((a[x] <= 0x3C00) | (a[x] == 0x8000)) & ((b[x] <= 0x3C00) | (b[x] == 0x8000)));
    } else if (type == FLOAT) {
        const uint32_t *a = left, *b = right, one = 0x3F800000u, minus_zero = 0x80000000u;
        for (int x = 0; x < count; x++)
            found |= (a[x] != b[x]) & !(((a[x] <= one) | (a[x] == minus_zero)) & ((b[x] <= one) | (b[x] == minus_zero)));
    }
    return found != 0;
}

VECTORIZED static void add_samples(const void *row, int type, int count, uint32_t *restrict columns) {
    integers(row, type, count, 1, columns);
}

/* Adds the squared differences of two rows to `columns`; returns whether floats differ out of range. */
VECTORIZED static int add_squares(const void *left, const void *right, int type, int count, uint64_t *restrict columns) {
    uint32_t a[TILE], b[TILE];
    if (differ_out_of_range(left, right, type, count))
        return 1;
    integers(left, type, count, 0, a);
    integers(right, type, count, 0, b);
    for (int x = 0; x < count; x++) {
        uint32_t difference = a[x] > b[x] ? a[x] - b[x] : b[x] - a[x]; /* at most 65535 */
        columns[x] += difference * difference;
    }
    return 0;
}

/* cuts.cell_sums of one plane: adds `weight` times the sums over cells of `cell` x `cell` samples to
 * sums[ceil(height / cell)][ceil(width / cell)]. stride: bytes from row to row; samples of a row lie side by side. */
static void add_cell_sums(const char *first, ptrdiff_t stride, int width, int height, int type, int cell, int weight,
                          int64_t *sums) {
    int64_t cells_across = (width - 1) / cell + 1;
    for (int top = 0, bottom; top < height; top = bottom) {
        int64_t *line = sums + top / cell * cells_across;
        bottom = least(least(height, top - top % cell + cell), top + 65536); /* so many samples fit 32 bits */
        for (int left = 0; left < width; left += TILE) {
            int count = least(TILE, width - left);
            uint32_t columns[TILE] = {0};
            for (int y = top; y < bottom; y++)
                add_samples(first + y * stride + left * size_of(type), type, count, columns);
            for (int x = 0; x < count;) {
                int place = (left + x) / cell, end = least(count, (place + 1) * cell - left);
                int64_t sum = 0;
                for (; x < end; x++)
                    sum += columns[x];
                line[place] += weight * sum;
            }
        }
    }
}

/* cuts.signature[ceil(height / cell)][ceil(width / cell)] of 1 plane, or of 3 of one size. planes: of each its address and
 * its stride in bytes. peak: the largest sample as an integer.
 * Returns 0: cffi answers void by Python's None, whose address a host without Python could not resolve as it loads us. */
static int rife_signature(const uintptr_t *planes, int count, int width, int height, int type, int cell, int peak,
                          int64_t *signature) {
    static const int rgb_weights[] = {2, 5, 1};
    int rows = (height - 1) / cell + 1, columns = (width - 1) / cell + 1, weights = 0;
    memset(signature, 0, sizeof *signature * rows * columns);
    for (int i = 0; i < count; i++) {
        int weight = count == 3 ? rgb_weights[i] : 1;
        add_cell_sums((const char *)planes[2 * i], (ptrdiff_t)planes[2 * i + 1], width, height, type, cell, weight,
                      signature);
        weights += weight;
    }
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++) {
            int64_t *mean = signature + y * columns + x;
            int64_t area = (int64_t)least(cell, height - y * cell) * least(cell, width - x * cell);
            int64_t scale = area * weights * peak;
            *mean = (2 * 65535 * *mean + scale) / (2 * scale);
        }
    return 0;
}

/* What a part of a band of 8 rows of two planes differs by, column by column. */
enum { SAME, DIFFERENT, OUT_OF_RANGE };

/* Sums the squared differences of each column of samples, `count` of them from `start` on, of the rows from `top` to `bottom`.
 * Returns SAME where there are none, and leaves `columns` alone; OUT_OF_RANGE where float samples out of 0..1 differ. */
static int column_sums(const char *first, ptrdiff_t left_stride, const char *second, ptrdiff_t right_stride, int top,
                       int bottom, int start, int count, int type, uint64_t *columns) {
    int found = SAME;
    for (int y = top; y < bottom; y++) {
        const char *a = first + y * left_stride + start * size_of(type);
        const char *b = second + y * right_stride + start * size_of(type);
        if (memcmp(a, b, count * size_of(type)) == 0)
            continue; /* most of a still picture, and several times cheaper */
        if (found == SAME)
            memset(columns, 0, sizeof *columns * count);
        found = DIFFERENT;
        if (add_squares(a, b, type, count, columns))
            return OUT_OF_RANGE;
    }
    return found;
}

enum { SIDE = 8 }; /* of a block */

static uint64_t block_sum(const uint64_t *columns, int x, int count) {
    uint64_t sum = 0;
    for (int i = x; i < least(count, x + SIDE); i++)
        sum += columns[i];
    return sum;
}

/* still.exceed of one plane: whether the squared differences of any block of 8 x 8 samples sum to more than its limit,
 * or float samples out of 0..1 differ. strides: bytes from row to row. limits: of a whole block, one cut by the right
 * edge, one cut by the bottom edge, one cut by both. */
static int exceeds(const char *first, ptrdiff_t left_stride, const char *second, ptrdiff_t right_stride, int width,
                   int height, int type, const int64_t *limits) {
    for (int top = 0; top < height; top += SIDE) {
        const int64_t *of_band = limits + (height - top < SIDE ? 2 : 0);
        for (int start = 0; start < width; start += TILE) {
            uint64_t columns[TILE];
            int count = least(TILE, width - start);
            int found = column_sums(first, left_stride, second, right_stride, top, least(height, top + SIDE), start,
                                    count, type, columns);
            if (found == OUT_OF_RANGE)
                return 1;
            for (int x = 0; found && x < count; x += SIDE)
                if (block_sum(columns, x, count) > (uint64_t)of_band[width - start - x < SIDE])
                    return 1;
        }
    }
    return 0;
}

/* still.worst_block of one plane: the largest mean of squared differences of a block, in squares of a code value; below 0
 * where float samples out of 0..1 differ. */
static double worst(const char *first, ptrdiff_t left_stride, const char *second, ptrdiff_t right_stride, int width,
                    int height, int type) {
    double found = 0;
    for (int top = 0; top < height; top += SIDE) {
        int rows = least(height - top, SIDE);
        for (int start = 0; start < width; start += TILE) {
            uint64_t columns[TILE];
            int count = least(TILE, width - start);
            int differ = column_sums(first, left_stride, second, right_stride, top, top + rows, start, count, type, columns);
            if (differ == OUT_OF_RANGE)
                return -1;
            for (int x = 0; differ && x < count; x += SIDE) {
                double mean = (double)block_sum(columns, x, count) / (rows * least(SIDE, count - x));
                found = mean > found ? mean : found;
            }
        }
    }
    return found;
}

/* still.worst_block of two frames, of the arguments of rife_is_still. peak: the largest sample as an integer. */
static double rife_worst_block(const uintptr_t *left, const uintptr_t *right, int count, const int *sizes, int type, int peak) {
    double found = 0;
    for (int i = 0; i < count; i++) {
        double mean = worst((const char *)left[2 * i], (ptrdiff_t)left[2 * i + 1], (const char *)right[2 * i],
                            (ptrdiff_t)right[2 * i + 1], sizes[2 * i], sizes[2 * i + 1], type);
        if (mean < 0)
            return 1;
        found = mean > found ? mean : found;
    }
    return found / ((double)peak * peak);
}

/* still.is_still of two frames of `count` planes. left, right: of each plane its address and its stride in bytes. sizes:
 * of each plane its width and its height. limits: of each plane, as `exceeds` has them. */
static int rife_is_still(const uintptr_t *left, const uintptr_t *right, int count, const int *sizes, int type,
                         const int64_t *limits) {
    for (int i = 0; i < count; i++)
        if (exceeds((const char *)left[2 * i], (ptrdiff_t)left[2 * i + 1], (const char *)right[2 * i],
                    (ptrdiff_t)right[2 * i + 1], sizes[2 * i], sizes[2 * i + 1], type, limits + 4 * i))
            return 0;
    return 1;
}

/* ---- The cut score: names, constants and the order of operations are those of cuts.py ---- */

#define CELLS 64
#define BLOCK 8
#define REACH 21
#define CLOSE 2
#define STRAY_COST 0.3
#define LEVEL_WEIGHT 0.05
#define PICTURE_GAIN_LOW 0.4
#define PICTURE_GAIN_HIGH 2.5
#define BLOCK_GAIN_LOW 0.7
#define BLOCK_GAIN_HIGH 1.4
#define FLOOR 1000.0
#define FLAT_SHARE 0.05
#define BAR_TOLERANCE 400
#define SETTLED 0.1
#define FIXED_POINT 1048576.0

enum { MOTIONS = 2 * REACH + 1, LANES = 8, PADDED = CELLS + BLOCK + LANES };

/* A thumbnail, bars cut off. Beyond its rows and columns there are zeros, so that every block can be read as 8 x 8. */
typedef struct {
    double centred[PADDED][PADDED]; /* whole numbers, about a mean of 0 */
    double gained[PADDED][PADDED];  /* the same with the other thumbnail's contrast */
    double sums[CELLS][PADDED];     /* of each window of a block's size in `gained`, by its top left cell */
    double energies[CELLS][PADDED]; /* about the window's mean, times the window's area squared */
} Thumbnail;

typedef struct {
    int rows, columns;  /* of the thumbnails */
    int height, width;  /* of their blocks */
    int down, across;   /* how far a block may have moved each way */
} Search;

typedef struct {
    int y, x;
    double cells[BLOCK][BLOCK];
    double sum, energy, reference, texture;
} Block;

typedef struct {
    Thumbnail a, b;
    Block blocks[CELLS];
    double least[CELLS];              /* each block's least share */
    double totals[MOTIONS][MOTIONS];  /* of each motion: the blocks' shares, in fixed point, less their textures */
} Workspace;

static inline double clamped(double value, double low, double high) {
    double raised = value < low ? low : value;
    return raised > high ? high : raised;
}

/* The nearest whole number, half to even, for |value| < 2^51: beyond 2^52 a double has no fraction. */
static inline double rounded(double value) { return value + 6755399441055744.0 - 6755399441055744.0; }

/* Lines from the first that are flat and alike in both, with the one after them; 0 if the first is not flat. */
static int bar(const int64_t *left, const int64_t *right, int lines, ptrdiff_t step, int length, ptrdiff_t along) {
    int flat = 0, most_lines = most(0, lines / 2 - 2);
    for (; flat < most_lines; flat++) {
        int64_t low = left[flat * step], high = low;
        for (int i = 0; i < length; i++) {
            int64_t one = left[flat * step + i * along], other = right[flat * step + i * along];
            low = one < low ? one : low;
            low = other < low ? other : low;
            high = one > high ? one : high;
            high = other > high ? other : high;
        }
        if (high - low > BAR_TOLERANCE)
            break;
    }
    return flat ? flat + 1 : 0;
}

/* Smoothed by 1-2-1 each way, and centred. Returns the energy. pitch: cells from row to row of the signature. */
static double centre(const int64_t *signature, ptrdiff_t pitch, int rows, int columns, double centred[PADDED][PADDED]) {
    int64_t total = 0;
    double energy = 0.0;
    for (int y = 0; y < rows; y++) {
        const int64_t *here = signature + y * pitch, *above = here - (y ? pitch : 0);
        const int64_t *below = here + (y < rows - 1 ? pitch : 0);
        for (int x = 0; x < columns; x++) {
            int before = x ? x - 1 : 0, after = least(x + 1, columns - 1);
            int64_t value = (above[before] + 2 * here[before] + below[before] + 2 * (above[x] + 2 * here[x] + below[x]) +
                             above[after] + 2 * here[after] + below[after]) / 16;
            centred[y][x] = (double)value;
            total += value;
        }
    }
    double mean = (double)(total / (rows * columns));
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++) {
            centred[y][x] -= mean;
            energy += centred[y][x] * centred[y][x];
        }
    return energy;
}

/* Fills `gained` with the target's contrast, and its windows' sums and energies. */
static void gain(Thumbnail *source, double energy, double target_energy, const Search *search) {
    double factor = clamped(sqrt(target_energy / (energy < 1.0 ? 1.0 : energy)), PICTURE_GAIN_LOW, PICTURE_GAIN_HIGH);
    for (int y = 0; y < search->rows; y++)
        for (int x = 0; x < search->columns; x++)
            source->gained[y][x] = rounded(source->centred[y][x] * factor);
    for (int y = 0; y <= search->rows - search->height; y++) {
        double columns[CELLS] = {0}, squares[CELLS] = {0};
        for (int i = y; i < y + search->height; i++)
            for (int x = 0; x < search->columns; x++) {
                columns[x] += source->gained[i][x];
                squares[x] += source->gained[i][x] * source->gained[i][x];
            }
        for (int x = 0; x <= search->columns - search->width; x++) {
            double sum = 0.0, square = 0.0;
            for (int j = x; j < x + search->width; j++) {
                sum += columns[j];
                square += squares[j];
            }
            source->sums[y][x] = sum;
            source->energies[y][x] = square * (search->height * search->width) - sum * sum;
        }
    }
}

static void read_block(const Thumbnail *target, int y, int x, const Search *search, Block *block) {
    int area = search->height * search->width;
    double sum = 0.0, square = 0.0;
    memset(block, 0, sizeof *block);
    for (int i = 0; i < search->height; i++)
        for (int j = 0; j < search->width; j++) {
            double value = target->centred[y + i][x + j];
            block->cells[i][j] = value;
            sum += value;
            square += value * value;
        }
    block->y = y;
    block->x = x;
    block->sum = sum;
    block->energy = square * area - sum * sum;
    double whole = block->energy + LEVEL_WEIGHT * (sum * sum);
    block->reference = whole + (FLOOR * area) * (FLOOR * area);
    block->texture = whole / block->reference;
}

/* What a row of LANES windows of the source, the first at (y, x), leave unexplained of a block. Those that lie beyond the
 * picture have no meaning, and are there to be read. */
VECTORIZED static void shares(const Thumbnail *source, const Block *block, int y, int x, double area, double *restrict out) {
    const double *sums = &source->sums[y][x], *energies = &source->energies[y][x];
    double product[LANES] = {0};
    for (int i = 0; i < BLOCK; i++) {
        const double *cells = block->cells[i], *line = &source->gained[y + i][x];
        for (int k = 0; k < LANES; k++) /* whole numbers: exact in any order */
            product[k] += cells[0] * line[k] + cells[1] * line[k + 1] + cells[2] * line[k + 2] + cells[3] * line[k + 3] +
                          cells[4] * line[k + 4] + cells[5] * line[k + 5] + cells[6] * line[k + 6] + cells[7] * line[k + 7];
    }
    for (int k = 0; k < LANES; k++) {
        double covariance = product[k] * area - block->sum * sums[k];
        double factor = clamped(covariance / (energies[k] < 1.0 ? 1.0 : energies[k]), BLOCK_GAIN_LOW, BLOCK_GAIN_HIGH);
        double step = block->sum - sums[k];
        double rest = block->energy - factor * (2.0 * covariance - factor * energies[k]) + LEVEL_WEIGHT * (step * step);
        out[k] = clamped(rest / block->reference, 0.0, block->texture);
    }
}

/* The block's least share over the motions within `reach` cells of (down, across), as far as the search allows them;
 * out of the picture nothing is explained. totals: if not NULL, each motion's share is added there. */
static double least_share(const Thumbnail *source, const Block *block, const Search *search, int down, int across,
                          int reach, double totals[MOTIONS][MOTIONS]) {
    double found[LANES], best = block->texture, unexplained = rounded(best * FIXED_POINT);
    int top = most(most(down - reach, -search->down), -block->y);
    int bottom = least(least(down + reach, search->down), search->rows - search->height - block->y);
    int first = most(most(across - reach, -search->across), -block->x);
    int last = least(least(across + reach, search->across), search->columns - search->width - block->x);
    for (int y = top; y <= bottom; y++) {
        for (int x = first; x <= last; x += LANES) {
            shares(source, block, block->y + y, block->x + x, search->height * search->width, found);
            for (int k = 0; k < least(LANES, last - x + 1); k++) {
                best = found[k] < best ? found[k] : best;
                if (totals)
                    totals[REACH + y][REACH + x + k] += rounded(found[k] * FIXED_POINT) - unexplained;
            }
        }
    }
    return best;
}

/* Places of blocks along a side: side by side, with one flush with the far edge. Returns the place after `at`. */
static int next_place(int at, int last) { return at == last ? last + 1 : least(at + BLOCK, last); }

/* Texture of the target that no moved block of the source resembles; adds the target's texture and the blocks. */
static double unexplained(const Thumbnail *source, const Thumbnail *target, const Search *search, Workspace *work,
                          double *texture, int *blocks) {
    int lowest = search->rows - search->height, rightmost = search->columns - search->width;
    int count = 0, common_down = 0, common_across = 0;
    double sum = 0.0, missing = 0.0, lowest_total = INFINITY;
    memset(work->totals, 0, sizeof work->totals);
    for (int y = 0; y <= lowest; y = next_place(y, lowest))
        for (int x = 0; x <= rightmost; x = next_place(x, rightmost), count++) {
            Block *block = &work->blocks[count];
            read_block(target, y, x, search, block);
            work->least[count] = least_share(source, block, search, 0, 0, REACH, work->totals);
            sum += rounded(block->texture * FIXED_POINT);
        }
    for (int down = -search->down; down <= search->down; down++)
        for (int across = -search->across; across <= search->across; across++)
            if (work->totals[REACH + down][REACH + across] < lowest_total) {
                lowest_total = work->totals[REACH + down][REACH + across];
                common_down = down;
                common_across = across;
            }
    for (int n = 0; n < count; n++) {
        const Block *block = &work->blocks[n];
        double still = least_share(source, block, search, 0, 0, CLOSE, NULL);
        double with_picture = least_share(source, block, search, common_down, common_across, CLOSE, NULL);
        double astray = work->least[n] + STRAY_COST * block->texture;
        double best = still < with_picture ? still : with_picture;
        missing += rounded((best < astray ? best : astray) * FIXED_POINT);
    }
    *texture += sum / FIXED_POINT;
    *blocks += count;
    return missing / FIXED_POINT;
}

/* cuts.cut_score of two signatures [rows][columns], of 1 to 64 rows and columns of 0..65535. -1: there is no memory. */
static double rife_cut_score(const int64_t *left, const int64_t *right, int rows, int columns) {
    const ptrdiff_t pitch = columns;
    Workspace *work = calloc(1, sizeof *work);
    if (!work)
        return -1.0;

    const int64_t *last = left + (rows - 1) * pitch, *right_last = right + (rows - 1) * pitch;
    int top = bar(left, right, rows, pitch, columns, 1), bottom = bar(last, right_last, rows, -pitch, columns, 1);
    left += top * pitch;
    right += top * pitch;
    rows -= top + bottom;
    int first = bar(left, right, columns, 1, rows, pitch);
    int behind = bar(left + columns - 1, right + columns - 1, columns, -1, rows, pitch);
    left += first;
    right += first;
    columns -= first + behind;

    Search search = {.rows = rows, .columns = columns, .height = least(BLOCK, rows), .width = least(BLOCK, columns)};
    Thumbnail *a = &work->a, *b = &work->b;
    double energy_a = centre(left, pitch, rows, columns, a->centred);
    double energy_b = centre(right, pitch, rows, columns, b->centred);
    double product = 0.0;
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++)
            product += a->centred[y][x] * b->centred[y][x];
    double agreement = product / sqrt((energy_a < 1.0 ? 1.0 : energy_a) * (energy_b < 1.0 ? 1.0 : energy_b));
    double disagreement = 0.5 + (1.0 - agreement < 0.5 ? 1.0 - agreement : 0.5);
    gain(a, energy_a, energy_b, &search);
    gain(b, energy_b, energy_a, &search);

    double score = 0.0;
    for (int reach = 0; reach <= REACH; reach += REACH) {
        double texture = 0.0;
        int blocks = 0;
        search.down = least(reach, rows - search.height);
        search.across = least(reach, columns - search.width);
        double missing = unexplained(a, b, &search, work, &texture, &blocks);
        missing += unexplained(b, a, &search, work, &texture, &blocks);
        score = missing / (texture + blocks * FLAT_SHARE) * disagreement;
        if (score < SETTLED)
            break;
    }
    free(work);
    return score;
}
