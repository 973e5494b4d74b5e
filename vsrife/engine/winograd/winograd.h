/* 3x3 convolutions of stride 1 with zero padding of 1, followed by a leaky ReLU, on a CPU. See winograd.c. */

/* Floats in a vector register of this processor: 16 (AVX-512F), 8 (AVX2 with FMA), or 0 where it has neither. */
int winograd_lanes(void);

/* Floats of working memory that winograd_convolve needs for each call. */
size_t winograd_scratch(int lanes, int inputs, int outputs);

/* y = activation(x * weights + bias).
   lanes: from winograd_lanes, or fewer of those that the processor has.
   x: [height, width, inputs]. y: [height, width, outputs], must not overlap x.
   weights: [36, inputs, P], the transformed kernels; P is outputs rounded up to a multiple of lanes, with zeros.
   bias, slopes: [P]. The activation multiplies a negative value by its channel's slope. */
void winograd_convolve(int lanes, const float *x, const float *weights, const float *bias, const float *slopes,
                       float *y, int height, int width, int inputs, int outputs, float *scratch);
