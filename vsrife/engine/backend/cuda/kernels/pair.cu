// Writes a Pair in the order of the stream, so that no memory of the host must outlive the call.
#include "pair.cuh"

struct PairArguments
{
    Pair *to;
    Pair pair;
};

KERNEL(set_pair, 1, PairArguments)
{
    EACH_THREAD *a.to = a.pair;
}
