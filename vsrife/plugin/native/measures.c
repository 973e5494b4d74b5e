/* What cuts and still pairs of frames in host memory are decided by, computed without the GIL: cffi releases it around
 * each of these calls.
 *
 * vsrife/scene defines the numbers (signature.py, in_place in scene_change.py, is_still in duplicates.py), and these functions return
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

enum { UINT8, UINT16, HALF, FLOAT }; /* types of samples, as vsrife/plugin/native_measures.py numbers them */
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

/* signature.cell_sums of one plane: adds `weight` times the sums over cells of `cell` x `cell` samples to
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
            for (int x = 0, place = left / cell; x < count; place++) {
                int64_t sum = 0;
                for (int end = least(count, (place + 1) * cell - left); x < end; x++)
                    sum += columns[x];
                line[place] += weight * sum;
            }
        }
    }
}

/* signature.signature[ceil(height / cell)][ceil(width / cell)] of 1 plane, or of 3 of one size. planes: of each its address and
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

/* duplicates.exceed of one plane: whether the squared differences of any block of 8 x 8 samples sum to more than its limit,
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

/* duplicates.worst_block of one plane: the largest mean of squared differences of a block, in squares of a code value; below 0
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

/* duplicates.worst_block of two frames, of the arguments of rife_is_still. peak: the largest sample as an integer. */
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

/* duplicates.is_still of two frames of `count` planes. left, right: of each plane its address and its stride in bytes. sizes:
 * of each plane its width and its height. limits: of each plane, as `exceeds` has them. */
static int rife_is_still(const uintptr_t *left, const uintptr_t *right, int count, const int *sizes, int type,
                         const int64_t *limits) {
    for (int i = 0; i < count; i++)
        if (exceeds((const char *)left[2 * i], (ptrdiff_t)left[2 * i + 1], (const char *)right[2 * i],
                    (ptrdiff_t)right[2 * i + 1], sizes[2 * i], sizes[2 * i + 1], type, limits + 4 * i))
            return 0;
    return 1;
}

/* ---- How much of a pair does not match as it lies: constants and the order of operations are those of scene_change.py ---- */

#define CELLS 400
#define PEAK 65535.0
#define BLOCK 16
#define CONTRAST 0.18
#define MOST_GAIN 16.0
#define MOST_LIGHT 2.5
#define RELATIVE_FLOOR 3e-4
#define FLOOR 2e-6
#define LONE_FLOOR 1e-3
#define NOISE_FLOOR 16.0
#define NOISE 1e-4
#define MOST_NOISE 6.4e-3
#define GRAIN 3.8e-6
#define GRAIN_FLOOR 2.5
#define MOST_GRAIN 5.5e-4
#define INNER 0.2
#define STILL 0.9
#define MATCHED 0.65
#define LOST 0.3
#define LEAST_MOVING 0.5
#define FLAT_SHARE 0.002
#define UNIT 1048576.0
#define TINY 1e-9

static const double remaining_noise[] = {1.0, 36.0 / 256.0, 4900.0 / 65536.0}; /* of white noise, after each smoothing */
enum { PASSES = sizeof remaining_noise / sizeof *remaining_noise, BLOCKS = (CELLS / BLOCK) * (CELLS / BLOCK) };

/* One frame of a pair: its cells [rows][columns], and what scene_change.py has of it. */
typedef struct {
    int32_t *cells;
    double noise, gain, floor, lone;
} Side;

static inline double clamped(double value, double low, double high) {
    double raised = value < low ? low : value;
    return raised > high ? high : raised;
}

static inline double larger(double a, double b) { return a > b ? a : b; }

/* Half to even. Numbers of up to 2^51. */
static inline double rounded(double value) { return value + 6755399441055744.0 - 6755399441055744.0; }

static int by_size(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

VECTORIZED static double variance(const int32_t *cells, int count) {
    int64_t sum = 0, square = 0;
    for (int i = 0; i < count; i++) {
        sum += cells[i];
        square += (int64_t)cells[i] * cells[i];
    }
    double total = (double)sum, all = count;
    return larger(((double)square - total * total / all) / all, 0.0);
}

/* Adds the squares of what a Laplacian leaves of the cells of one row to `columns`. */
VECTORIZED static void add_roughness(const int32_t *above, const int32_t *here, const int32_t *below, int count,
                                     int64_t *restrict columns) {
    for (int x = 0; x < count; x++) {
        int64_t left = above[x] - 2 * here[x] + below[x], middle = above[x + 1] - 2 * here[x + 1] + below[x + 1];
        int64_t rest = left - 2 * middle + (above[x + 2] - 2 * here[x + 2] + below[x + 2]);
        columns[x] += rest * rest;
    }
}

/* scene_change._noise. means: memory for a number for each block. */
static double noise_of(const int32_t *cells, int rows, int columns, double *means) {
    int height = rows - 2, width = columns - 2, count = 0;
    if (height < 1 || width < 1)
        return 0.0;
    for (int top = 0; top < height; top += BLOCK) {
        int64_t sums[CELLS] = {0};
        int tall = least(BLOCK, height - top);
        for (int y = top; y < top + tall; y++)
            add_roughness(cells + y * columns, cells + (y + 1) * columns, cells + (y + 2) * columns, width, sums);
        for (int left = 0; left < width; left += BLOCK) {
            int wide = least(BLOCK, width - left);
            int64_t sum = 0;
            for (int x = left; x < left + wide; x++)
                sum += sums[x];
            means[count++] = (double)sum / (double)(tall * wide);
        }
    }
    qsort(means, count, sizeof *means, by_size);
    double found = means[(count - 1) / 10] / 36.0;
    return found <= MOST_NOISE * (PEAK * PEAK) ? found : 0.0;
}

/* scene_change._grain. means: memory for a number for each block. */
static double grain_of(const Side *side, int rows, int columns, double *means) {
    int count = 0;
    if (side->noise < GRAIN * (PEAK * PEAK))
        return 0.0;
    for (int top = 0; top < rows; top += BLOCK)
        for (int left = 0; left < columns; left += BLOCK) {
            int height = least(BLOCK, rows - top), width = least(BLOCK, columns - left);
            int64_t sum = 0, square = 0, area = height * width;
            for (int y = top; y < top + height; y++)
                for (int x = left; x < left + width; x++) {
                    int64_t cell = side->cells[y * columns + x];
                    sum += cell;
                    square += cell * cell;
                }
            means[count++] = (double)(area * square - sum * sum) / (double)(area * area);
        }
    qsort(means, count, sizeof *means, by_size);
    return clamped(means[(count - 1) / 10] / (PEAK * PEAK), 0.0, MOST_GRAIN);
}

/* scene_change._smoothed, in place. */
static void smooth(int32_t *cells, int rows, int columns) {
    int32_t above[CELLS], down[CELLS];
    memcpy(above, cells, sizeof *cells * columns);
    for (int y = 0; y < rows; y++) {
        int32_t *here = cells + y * columns;
        const int32_t *below = here + (y < rows - 1 ? columns : 0);
        for (int x = 0; x < columns; x++)
            down[x] = above[x] + 2 * here[x] + below[x];
        memcpy(above, here, sizeof *cells * columns);
        for (int x = 0; x < columns; x++)
            here[x] = (down[x ? x - 1 : 0] + 2 * down[x] + down[least(x + 1, columns - 1)]) / 16;
    }
}

/* scene_change._sides: brings both to one contrast, smoothed as often as their noise asks for. */
static void prepare(Side sides[2], int rows, int columns, double *means) {
    double remaining[2];
    for (int i = 0; i < 2; i++)
        sides[i].noise = noise_of(sides[i].cells, rows, columns, means);
    for (int pass = 0;; pass++) {
        double a = variance(sides[0].cells, rows * columns), b = variance(sides[1].cells, rows * columns);
        double most = larger(larger(a, b), TINY);
        double common = clamped((CONTRAST * CONTRAST) * (PEAK * PEAK) / most, 1.0, MOST_GAIN * MOST_GAIN);
        for (int i = 0; i < 2; i++) {
            sides[i].gain = common * clamped(most / larger(i ? b : a, TINY), 1.0, MOST_LIGHT * MOST_LIGHT);
            remaining[i] = sides[i].noise * remaining_noise[pass] * sides[i].gain / (PEAK * PEAK);
        }
        if (remaining[0] < NOISE || remaining[1] < NOISE || pass == PASSES - 1)
            break;
        for (int i = 0; i < 2; i++)
            smooth(sides[i].cells, rows, columns);
    }
    for (int i = 0; i < 2; i++) {
        double grain = grain_of(&sides[i], rows, columns, means);
        sides[i].floor = larger(RELATIVE_FLOOR, FLOOR * sides[i].gain) + NOISE_FLOOR * remaining[i] +
                         GRAIN_FLOOR * grain * sides[i].gain;
        sides[i].lone = larger(sides[i].floor, LONE_FLOOR * sides[i].gain);
    }
}

/* Of a block of two pictures, or of one and itself: the sums over all cells, over the rows' and the columns' products. */
typedef struct {
    int64_t cells, rows, columns;
} Products;

static inline double whole_energy(const Products *of, int64_t area, int64_t total) {
    return (double)(area * of->cells - total);
}

static inline double inner_energy(const Products *of, int64_t area, int64_t total, int64_t height, int64_t width) {
    return (double)(area * of->cells - height * of->rows - width * of->columns + total);
}

VECTORIZED static void add_products(const int32_t *a, const int32_t *b, int height, int width, ptrdiff_t pitch,
                                    Products *restrict aa, Products *restrict bb, Products *restrict ab,
                                    int64_t *restrict total_a, int64_t *restrict total_b) {
    int64_t columns_a[BLOCK] = {0}, columns_b[BLOCK] = {0};
    for (int y = 0; y < height; y++, a += pitch, b += pitch) {
        int64_t row_a = 0, row_b = 0;
        for (int x = 0; x < width; x++) {
            row_a += a[x];
            row_b += b[x];
            columns_a[x] += a[x];
            columns_b[x] += b[x];
            aa->cells += (int64_t)a[x] * a[x];
            bb->cells += (int64_t)b[x] * b[x];
            ab->cells += (int64_t)a[x] * b[x];
        }
        aa->rows += row_a * row_a;
        bb->rows += row_b * row_b;
        ab->rows += row_a * row_b;
    }
    for (int x = 0; x < width; x++) {
        aa->columns += columns_a[x] * columns_a[x];
        bb->columns += columns_b[x] * columns_b[x];
        ab->columns += columns_a[x] * columns_b[x];
        *total_a += columns_a[x];
        *total_b += columns_b[x];
    }
}

/* The correlation of a block, see scene_change._alike and scene_change._compare_in_place. Returns whether it has texture. */
static int compare(const Side sides[2], int y, int x, int height, int width, ptrdiff_t pitch, double *alike) {
    Products aa = {0}, bb = {0}, ab = {0};
    int64_t a = 0, b = 0, area = height * width;
    double square = (double)(area * area);
    add_products(sides[0].cells + y * pitch + x, sides[1].cells + y * pitch + x, height, width, pitch, &aa, &bb, &ab, &a, &b);
    double whole_a = whole_energy(&aa, area, a * a), whole_b = whole_energy(&bb, area, b * b);
    double variance_a = sides[0].gain / (PEAK * PEAK) * whole_a / square;
    double variance_b = sides[1].gain / (PEAK * PEAK) * whole_b / square;
    *alike = 0.0;
    if (!(variance_a > sides[0].floor && variance_b > sides[1].floor))
        return variance_a > sides[0].lone || variance_b > sides[1].lone;
    double gain = 2.0 * (sqrt(sides[0].gain) * sqrt(sides[1].gain));
    double power = sides[0].gain * whole_a + sides[1].gain * whole_b;
    double inner_power = sides[0].gain * inner_energy(&aa, area, a * a, height, width) +
                         sides[1].gain * inner_energy(&bb, area, b * b, height, width);
    double whole = gain * whole_energy(&ab, area, a * b) / larger(power, TINY);
    double inner = gain * inner_energy(&ab, area, a * b, height, width) / larger(inner_power, TINY);
    *alike = inner_power > INNER * power && inner < whole ? inner : whole;
    return 1;
}

/* scene_change.in_place of two signatures [rows][columns], of 1 to 400 rows and columns of 0..65535. -1: there is no memory. */
static double rife_in_place(const int64_t *left, const int64_t *right, int rows, int columns) {
    const int count = rows * columns;
    int32_t *memory = malloc(2 * sizeof *memory * count);
    if (!memory)
        return -1.0;
    Side sides[2] = {{.cells = memory}, {.cells = memory + count}};
    double means[BLOCKS];
    for (int i = 0; i < count; i++) {
        sides[0].cells[i] = (int32_t)left[i];
        sides[1].cells[i] = (int32_t)right[i];
    }
    prepare(sides, rows, columns, means);
    double lost = 0.0, moving = 0.0, texture = 0.0, blocks = 0.0;
    for (int y = 0; y < rows; y += BLOCK)
        for (int x = 0; x < columns; x += BLOCK, blocks++) {
            double alike;
            if (!compare(sides, y, x, least(BLOCK, rows - y), least(BLOCK, columns - x), columns, &alike))
                continue;
            texture++;
            if (alike > STILL)
                continue;
            moving++;
            lost += rounded(clamped((MATCHED - alike) / (MATCHED - LOST), 0.0, 1.0) * UNIT);
        }
    free(memory);
    return lost / UNIT / (larger(moving, LEAST_MOVING * texture) + FLAT_SHARE * blocks);
}
