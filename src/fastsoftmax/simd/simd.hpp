// The vector vocabulary: what every target provides, in the words the kernels are written in.
//
// (a) A vector is 64 bytes on every target: 16 float or 8 double lanes, held in one AVX-512, two AVX2 or four NEON
//     registers, or in a plain array. The kernels never learn which, so the order of every sum, and with it every bit
//     of the result, is the same on all of them; and the narrow targets get independent chains for their fma units.
// (b) Only function templates: Cython deduces T itself and writes it out (`load<float>(p)`), which overloads reject.
// (c) Everything has internal linkage (an anonymous namespace): otherwise the linker could keep the AVX-512 copy of an
//     inline function and call it from the baseline.
// (d) `fma` rounds once where `has_fma` is true and twice where it is not; the algorithms ask `has_fma` where that
//     difference matters. Nothing else differs between targets.
//
// What a target header defines, for T = float and double, V = vec<T>, with L = 64 / sizeof(T) lanes:
//
//   has_fma                    constexpr bool
//   load(p) store(p, v)        unaligned
//   load_partial(p, k, fill)   the first k elements (0 <= k <= L) from p, the other lanes `fill`; reads nothing beyond
//   store_partial(p, v, k)     the first k lanes (0 <= k <= L); writes nothing beyond
//   stream(p, v)               store past the caches; p must be aligned to 64 bytes
//   stream_fence()             makes what was streamed visible in order; once after the last stream
//   broadcast(x)               x in every lane
//   + - * /                    lane by lane, rounded to nearest even
//   fma(a, b, c)               a*b + c
//   maximum(a, b)              the larger; b where either is nan or both are zeros (the order of operands is a promise)
//   minimum(a, b)              the smaller, in the same way
//   select_equal(a, b, x, y)   x where a == b, else y (a nan equals nothing)
//   select_less(a, b, x, y)    x where a < b, else y
//   canonical_nans(v)          v with the nan of math.h in the place of any other
//   keep_first(v, k)           the first k lanes of v, +0.0 in the others
//   shift_bits<T, s>(v)        the lanes' bits shifted left by s, zeros come in
//   add_bits(a, b)             the lanes' bits added as integers modulo 2^32 or 2^64
//   sub_bits(a, b)             the same, subtracted
//   lookup(table, v)           table[bits of v mod 16]
//   exponent(v)                vec<double> only: floor(log2 v) for positive normal v
//   mantissa(v)                vec<double> only: v scaled by a power of two into [1, 2), for positive normal v
//   reduce_max(v)              the largest lane; lanes must not be nan
//   any_at_least(v, x)         whether a lane is x or more (a nan is not)
//   reduce_add(v)              with L lanes: lane l plus lane l + L/2, again with half as many lanes, until one is left
//   widen_low(v), widen_high(v)  lanes 0-7 or 8-15 of a vec<float> as vec<double>
//   transpose(rows)            L vectors in place: lane j of vector i becomes lane i of vector j
//   load_columns(p, s, c, columns)   lane i of vector j is p[i*s + j]: L rows of c elements, 16 or 32 bytes, s apart
//   store_columns(p, s, c, columns)  and back
//   narrow(low, high)          two vec<double> rounded to one vec<float>
//   load_half(p), load_bfloat16(p)  16 numbers of the format as vec<float>; p points to their bits (uint16_t)
//   store_half(p, v), store_bfloat16(p, v)  the same, rounded to nearest even; a nan keeps its sign and first bits, and
//                              is quiet
//   put_first(to, from, k)     the first k (0 <= k <= 16) of 16 numbers of 16 bits at from, to where there is room for k
//   take_first(to, from, k)    k such numbers (0 <= k <= 16), to where there is room for 16; zeros after them
//
// And of any address, the same for all targets:
//
//   prefetch(p)                a hint that what is at p is soon read or written
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "always_inline.hpp"

#if defined(FASTSOFTMAX_AVX512)
#include "avx512.hpp"
#elif defined(FASTSOFTMAX_AVX2)
#include "avx2.hpp"
#elif defined(FASTSOFTMAX_NEON)
#include "neon.hpp"
#else
#include "generic.hpp"
#endif

namespace simd {
namespace {

template <class T> SIMD_INLINE void prefetch(const T* p) {
#if defined(__GNUC__)
    __builtin_prefetch(p);
    asm volatile("");  // a function that does nothing else is taken for one without effect, and left out
#else
    (void)p;
#endif
}

// The low bits of an integer as a number of the first argument's type: an exponent field, ready for add_bits.
template <class T> inline T from_bits(T, long long value) {
    std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t> bits;
    bits = static_cast<decltype(bits)>(value);
    T x;
    std::memcpy(&x, &bits, sizeof(T));
    return x;
}

}  // namespace
}  // namespace simd
