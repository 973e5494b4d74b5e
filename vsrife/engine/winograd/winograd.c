/* 3x3 convolution by Winograd's minimal filtering F(4x4, 3x3): "Fast Algorithms for Convolutional Neural Networks",
   Lavin and Gray, CVPR 2016, section 4.3.

   A tile of 4x4 outputs is made from 6x6 inputs. Input and kernel are transformed to 36 points each; there the
   convolution is one product per point and pair of channels, summed over the input channels: a matrix product for each
   point. That is 36 multiplications for 16 outputs where the direct way takes 144.

   This file is compiled once for each vector width, with VECTOR (floats in a register) and CONVOLVE (the function's
   name) defined. Tiles are worked on in groups whose transformed values stay in the processor's caches. */

#include "kernels.h"
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

enum { TILE = 4, WINDOW = 6, POINTS = WINDOW * WINDOW, ROWS = VECTOR == 16 ? 12 : 6 };

typedef float Vector __attribute__((vector_size(VECTOR * sizeof(float)), aligned(sizeof(float)), may_alias));
typedef int Mask __attribute__((vector_size(VECTOR * sizeof(int)), aligned(sizeof(int)), may_alias));

/* The first `count` floats at `from`; zeros beyond them. */
INLINE Vector load(const float *from, int count)
{
    if (count >= VECTOR)
        return *(const Vector *)from;
    Vector part = {0};
    memcpy(&part, from, (size_t)count * sizeof(float));
    return part;
}

INLINE void store(float *to, Vector values, int count)
{
    if (count >= VECTOR)
        *(Vector *)to = values;
    else
        memcpy(to, &values, (size_t)count * sizeof(float));
}

/* Six inputs to six points: the rows of B transposed. */
INLINE void transform_input(const Vector a[WINDOW], Vector r[WINDOW])
{
    const Vector p = a[4] - 4.0f * a[2], q = a[3] - 4.0f * a[1];
    const Vector s = a[4] - a[2], t = 2.0f * (a[3] - a[1]);
    r[0] = 4.0f * a[0] + (a[4] - 5.0f * a[2]);
    r[1] = p + q;
    r[2] = p - q;
    r[3] = s + t;
    r[4] = s - t;
    r[5] = 4.0f * a[1] + (a[5] - 5.0f * a[3]);
}

/* Six points to four outputs: the rows of A transposed. */
INLINE void transform_output(const Vector m[WINDOW], Vector s[TILE])
{
    const Vector p = m[1] + m[2], q = m[1] - m[2], u = m[3] + m[4], v = m[3] - m[4];
    s[0] = m[0] + p + u;
    s[1] = q + 2.0f * v;
    s[2] = p + 4.0f * u;
    s[3] = q + 8.0f * v + m[5];
}

/* c[rows, columns * VECTOR] = a[rows, depth] b[depth, columns * VECTOR], the sums in registers. Both counts are
   constants where this is called. */
INLINE void product(const int rows, const int columns, const float *a, size_t a_row, const float *b, size_t b_row,
                    float *c, size_t c_row, int depth)
{
    Vector sums[ROWS][2];
    UNROLL for (int r = 0; r < rows; ++r)
        UNROLL for (int j = 0; j < columns; ++j)
            sums[r][j] = (Vector){0};
    for (int i = 0; i < depth; ++i) {
        Vector right[2];
        UNROLL for (int j = 0; j < columns; ++j)
            right[j] = *(const Vector *)(b + (size_t)i * b_row + j * VECTOR);
        UNROLL for (int r = 0; r < rows; ++r) {
            const float left = a[(size_t)r * a_row + i];
            UNROLL for (int j = 0; j < columns; ++j)
                sums[r][j] += left * right[j];
        }
    }
    UNROLL for (int r = 0; r < rows; ++r)
        UNROLL for (int j = 0; j < columns; ++j)
            *(Vector *)(c + (size_t)r * c_row + j * VECTOR) = sums[r][j];
}

/* The same for any number of rows. Each sum is taken in the order of `depth`, whatever the grouping. */
INLINE void all_rows(int rows, const int columns, const float *a, size_t a_row, const float *b, size_t b_row,
                     float *c, size_t c_row, int depth)
{
    int r = 0;
    for (; r + ROWS <= rows; r += ROWS)
        product(ROWS, columns, a + r * a_row, a_row, b, b_row, c + r * c_row, c_row, depth);
    for (; r + 4 <= rows; r += 4)
        product(4, columns, a + r * a_row, a_row, b, b_row, c + r * c_row, c_row, depth);
    for (; r < rows; ++r)
        product(1, columns, a + r * a_row, a_row, b, b_row, c + r * c_row, c_row, depth);
}

/* c[rows, width] = a[rows, depth] b[depth, width]; width is a multiple of VECTOR. */
static void multiply(int rows, int depth, int width, const float *a, size_t a_row, const float *b, float *c)
{
    int j = 0;
    for (; j + 2 * VECTOR <= width; j += 2 * VECTOR)
        all_rows(rows, 2, a, a_row, b + j, (size_t)width, c + j, (size_t)width, depth);
    if (j < width)
        all_rows(rows, 1, a, a_row, b + j, (size_t)width, c + j, (size_t)width, depth);
}

/* The 36 points of one tile's inputs, for all channels. inputs: addresses of the 6x6 pixels. points: of the first
   point, the next ones `stride` floats apart. */
static void transform_tile(const float *const inputs[WINDOW][WINDOW], int channels, float *points, size_t stride)
{
    for (int c = 0; c < channels; c += VECTOR) {
        Vector half[WINDOW][WINDOW];
        UNROLL for (int j = 0; j < WINDOW; ++j) {
            Vector column[WINDOW], made[WINDOW];
            UNROLL for (int i = 0; i < WINDOW; ++i)
                column[i] = load(inputs[i][j] + c, channels - c);
            transform_input(column, made);
            UNROLL for (int i = 0; i < WINDOW; ++i)
                half[i][j] = made[i];
        }
        UNROLL for (int i = 0; i < WINDOW; ++i) {
            Vector made[WINDOW];
            transform_input(half[i], made);
            UNROLL for (int j = 0; j < WINDOW; ++j)
                *(Vector *)(points + (size_t)(WINDOW * i + j) * stride + c) = made[j];
        }
    }
}

/* One tile's outputs from its 36 points. rows, columns: of the tile, those that lie within the picture. y: address of
   the tile's first pixel; row: floats from a row of y to the next. */
static void finish_tile(const float *points, size_t stride, const float *bias, const float *slopes, int channels,
                        int rows, int columns, float *y, size_t row)
{
    for (int c = 0; c < channels; c += VECTOR) {
        Vector half[TILE][WINDOW];
        UNROLL for (int j = 0; j < WINDOW; ++j) {
            Vector column[WINDOW], made[TILE];
            UNROLL for (int i = 0; i < WINDOW; ++i)
                column[i] = *(const Vector *)(points + (size_t)(WINDOW * i + j) * stride + c);
            transform_output(column, made);
            UNROLL for (int i = 0; i < TILE; ++i)
                half[i][j] = made[i];
        }
        const Vector add = *(const Vector *)(bias + c), slope = *(const Vector *)(slopes + c);
        UNROLL for (int i = 0; i < TILE; ++i) {
            if (i >= rows)
                break;
            Vector made[TILE];
            transform_output(half[i], made);
            UNROLL for (int j = 0; j < TILE; ++j) {
                if (j >= columns)
                    break;
                const Vector sum = made[j] + add, below = sum * slope;
                const Mask negative = sum < 0.0f;
                const Vector activated = (Vector)(((Mask)below & negative) | ((Mask)sum & ~negative));
                store(y + (size_t)i * row + (size_t)j * channels + c, activated, channels - c);
            }
        }
    }
}

void CONVOLVE(const float *x, const float *weights, const float *bias, const float *slopes, float *y, int height,
              int width, int inputs, int outputs, float *scratch)
{
    const int across = (width + TILE - 1) / TILE, tiles = across * ((height + TILE - 1) / TILE);
    const size_t in = (size_t)padded(inputs, VECTOR), out = (size_t)padded(outputs, VECTOR);
    const size_t in_stride = GROUP * in + SPACING, out_stride = GROUP * out + SPACING;
    float *zeros = scratch, *points = zeros + in, *products = points + POINTS * in_stride;
    memset(zeros, 0, in * sizeof(float));
    for (int first = 0; first < tiles; first += GROUP) {
        const int count = tiles - first < GROUP ? tiles - first : GROUP;
        for (int t = 0; t < count; ++t) {
            const int top = (first + t) / across * TILE - 1, left = (first + t) % across * TILE - 1;
            const float *pixels[WINDOW][WINDOW];
            for (int i = 0; i < WINDOW; ++i)
                for (int j = 0; j < WINDOW; ++j) {
                    const int row = top + i, column = left + j;
                    const int inside = row >= 0 && row < height && column >= 0 && column < width;
                    pixels[i][j] = inside ? x + ((size_t)row * width + column) * inputs : zeros;
                }
            transform_tile(pixels, inputs, points + t * in, in_stride);
        }
        for (int k = 0; k < POINTS; ++k)
            multiply(count, inputs, (int)out, points + k * in_stride, in, weights + (size_t)k * inputs * out,
                     products + k * out_stride);
        for (int t = 0; t < count; ++t) {
            const int top = (first + t) / across * TILE, left = (first + t) % across * TILE;
            finish_tile(products + t * out, out_stride, bias, slopes, outputs, height - top, width - left,
                        y + ((size_t)top * width + left) * outputs, (size_t)width * outputs);
        }
    }
}
