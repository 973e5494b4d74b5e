// What changes from frame to frame while a captured graph stays: it lies in device memory, where kernels read it.
#pragma once
#include "common.cuh"

struct Pair
{
    const void *left, *right; // packed sources
    float time;
};
