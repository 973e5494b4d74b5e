/* Which of the compiled widths runs. Included by the module's generated source, which is compiled for any processor. */

#include "kernels.h"

int winograd_lanes(void)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma"))
        return 16;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 8 : 0;
}

size_t winograd_scratch(int lanes, int inputs, int outputs)
{
    const size_t in = (size_t)padded(inputs, lanes), out = (size_t)padded(outputs, lanes);
    return in + 36 * (GROUP * (in + out) + 2 * (size_t)SPACING);
}

void winograd_convolve(int lanes, const float *x, const float *weights, const float *bias, const float *slopes,
                       float *y, int height, int width, int inputs, int outputs, float *scratch)
{
    (lanes == 16 ? winograd_avx512 : winograd_avx2)(x, weights, bias, slopes, y, height, width, inputs, outputs,
                                                    scratch);
}
