// Where a vector is an array of registers, gcc calls functions of a few instructions instead of inlining them: it
// counts structures of 64 bytes and large stack frames, and does not foresee that both dissolve.
#pragma once

#if defined(_MSC_VER)
#define SIMD_INLINE __forceinline
#else
#define SIMD_INLINE inline __attribute__((always_inline))
#endif
