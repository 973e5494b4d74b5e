/* Included by the module's generated source, which is compiled for any processor. */

#include "gather.h"

int gather_usable(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
