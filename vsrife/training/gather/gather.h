#pragma once
/* What goes into a block of a 4.x network, and its gradients. See gather.c. */

/* What all functions are told of the memory that they are given. Two images belong to a sample, the left frame and the
   right one; all left ones come first.
   samples: of the batch. height, width: of the frames.
   features: channels beside R, G, B. pixel: floats of a packed pixel, 4 for each 4 begun of features + 3.
   rows, columns: of the block's input, in cells. scale: pixels of a frame per cell, each way. points: per cell, each
   way: 1 where a cell is a pixel, else 2, the middle of it.
   mask, hidden: cells per pixel of these, each way; 0: the input has none. The hidden channels are 8.
   moved: whether there is a flow; the input has its channels then, and a mask.
   half: whether the block's input is bfloat16, else float32. */
typedef struct {
    int samples, height, width, features, pixel, rows, columns, scale, points, mask, hidden, moved, half;
} Gather;

/* Whether this processor can run the functions below: it has AVX2 and FMA. */
int gather_usable(void);

/* Of images first to last - 1: the features, then R, G, B, then zeros, [2 samples, height, width, pixel].
   rgb: [2 samples, 3, height, width]. features: what is `strides` floats apart in the order image, channel, row, column. */
void gather_pack(const Gather *g, int first, int last, const float *rgb, const float *features, const long *strides,
                 float *packed);

/* A block's input of samples first to last - 1.
   flow: [samples, 4, rows points, columns points] in pixels. time: [samples].
   mask: [samples, rows / g.mask, columns / g.mask]. hidden: [samples, rows / g.hidden, columns / g.hidden, 8].
   x: [samples, rows, columns, channels]. */
void gather_forward(const Gather *g, int first, int last, const float *packed, const float *flow, const float *time,
                    const float *mask, const float *hidden, void *x);

/* The gradients of the same, from that of x, which is as x is. Those of features, [2 samples, height, width, F], F being features rounded
   up to a multiple of 4, of mask and of hidden are added to what is there; that of flow is written. Any of them may be
   null: it is not wanted. */
void gather_backward(const Gather *g, int first, int last, const float *packed, const float *flow, const void *x,
                     float *features_gradient, float *flow_gradient, float *mask_gradient, float *hidden_gradient);
