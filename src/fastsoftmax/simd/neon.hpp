// NEON (aarch64): a vector is four registers; a partial vector is moved as bytes, with table lookups.
#pragma once

#include <arm_neon.h>

#include "always_inline.hpp"
#include "first_of_16.hpp"

namespace simd {
namespace {

template <class T> struct vec;
template <> struct vec<float> { float32x4_t r[4]; };
template <> struct vec<double> { float64x2_t r[4]; };
using vecf = vec<float>;
using vecd = vec<double>;

constexpr bool has_fma = true;

// A vector of the four registers f(0), f(1), f(2), f(3).
template <class T, class F> SIMD_INLINE vec<T> each(F f) { return {{f(0), f(1), f(2), f(3)}}; }

SIMD_INLINE uint32x4_t bits(float32x4_t r) { return vreinterpretq_u32_f32(r); }
SIMD_INLINE uint64x2_t bits(float64x2_t r) { return vreinterpretq_u64_f64(r); }
SIMD_INLINE float32x4_t from_bits(uint32x4_t b) { return vreinterpretq_f32_u32(b); }
SIMD_INLINE float64x2_t from_bits(uint64x2_t b) { return vreinterpretq_f64_u64(b); }

SIMD_INLINE uint8x16_t bytes(float32x4_t r) { return vreinterpretq_u8_f32(r); }
SIMD_INLINE uint8x16_t bytes(float64x2_t r) { return vreinterpretq_u8_f64(r); }
template <class T> SIMD_INLINE uint8x16x4_t bytes(vec<T> v) {
    return {{bytes(v.r[0]), bytes(v.r[1]), bytes(v.r[2]), bytes(v.r[3])}};
}
template <class T> SIMD_INLINE auto from_bytes(uint8x16_t b) {
    if constexpr (sizeof(T) == 4) {
        return vreinterpretq_f32_u8(b);
    } else {
        return vreinterpretq_f64_u8(b);
    }
}
// start, start + 1, ..., start + 15
SIMD_INLINE uint8x16_t byte_numbers(std::ptrdiff_t start) {
    alignas(16) static const std::uint8_t zero_up[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return vaddq_u8(vld1q_u8(zero_up), vdupq_n_u8(static_cast<std::uint8_t>(start)));
}

template <class T> SIMD_INLINE vec<T> load(const T* p);
template <> SIMD_INLINE vecf load(const float* p) {
    return each<float>([=](int i) { return vld1q_f32(p + 4 * i); });
}
template <> SIMD_INLINE vecd load(const double* p) {
    return each<double>([=](int i) { return vld1q_f64(p + 2 * i); });
}

template <class T> SIMD_INLINE void store(T* p, vec<T> v);
template <> SIMD_INLINE void store(float* p, vecf v) {
    for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, v.r[i]);
}
template <> SIMD_INLINE void store(double* p, vecd v) {
    for (int i = 0; i < 4; ++i) vst1q_f64(p + 2 * i, v.r[i]);
}

template <class T> SIMD_INLINE vec<T> broadcast(T x);
template <> SIMD_INLINE vecf broadcast(float x) {
    return each<float>([=](int) { return vdupq_n_f32(x); });
}
template <> SIMD_INLINE vecd broadcast(double x) {
    return each<double>([=](int) { return vdupq_n_f64(x); });
}

// The first size < 16 bytes from p, a multiple of 4, and zeros.
SIMD_INLINE uint8x16_t load_short(const std::uint8_t* p, std::ptrdiff_t size) {
    std::uint64_t low = 0;
    std::uint32_t word = 0;
    if (size & 8) std::memcpy(&low, p, 8);
    if (size & 4) std::memcpy(&word, p + (size & 8), 4);
    const std::uint64_t high = size & 8 ? word : 0;
    return vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(size & 8 ? low : word), vcreate_u64(high)));
}
SIMD_INLINE void store_short(std::uint8_t* p, uint8x16_t b, std::ptrdiff_t size) {
    const std::uint64_t low = vgetq_lane_u64(vreinterpretq_u64_u8(b), 0);
    const std::uint64_t high = vgetq_lane_u64(vreinterpretq_u64_u8(b), 1);
    if (size & 8) std::memcpy(p, &low, 8);
    const std::uint32_t word = static_cast<std::uint32_t>(size & 8 ? high : low);
    if (size & 4) std::memcpy(p + (size & 8), &word, 4);
}

// A register that would reach beyond the end is loaded from the last 16 bytes instead and moved into place; numbers
// past 15 leave the fill in vqtbx1q.
template <class T> SIMD_INLINE vec<T> load_partial(const T* p, std::ptrdiff_t k, T fill) {
    const auto* const from = reinterpret_cast<const std::uint8_t*>(p);
    const std::ptrdiff_t size = k * static_cast<std::ptrdiff_t>(sizeof(T));
    const vec<T> outside = broadcast<T>(fill);
    if (size < 16) {
        const uint8x16_t inside = vcltq_u8(byte_numbers(0), vdupq_n_u8(static_cast<std::uint8_t>(size)));
        const uint8x16_t first = vbslq_u8(inside, load_short(from, size), bytes(outside.r[0]));
        return {{from_bytes<T>(first), outside.r[1], outside.r[2], outside.r[3]}};
    }
    return each<T>([=](int i) {
        const std::ptrdiff_t start = 16 * i < size - 16 ? 16 * i : size - 16;
        return from_bytes<T>(vqtbx1q_u8(bytes(outside.r[i]), vld1q_u8(from + start), byte_numbers(16 * i - start)));
    });
}

// Whole registers, then the last 16 bytes, which overlap them.
template <class T> SIMD_INLINE void store_partial(T* p, vec<T> v, std::ptrdiff_t k) {
    auto* const to = reinterpret_cast<std::uint8_t*>(p);
    const std::ptrdiff_t size = k * static_cast<std::ptrdiff_t>(sizeof(T));
    const uint8x16x4_t b = bytes(v);
    if (size < 16) {
        store_short(to, b.val[0], size);
        return;
    }
    for (int i = 0; i < 3; ++i)
        if (16 * (i + 1) <= size) vst1q_u8(to + 16 * i, b.val[i]);
    vst1q_u8(to + size - 16, vqtbl4q_u8(b, byte_numbers(size - 16)));
}

// There is no intrinsic for a store past the caches; these processors recognise long runs of stores themselves.
template <class T> SIMD_INLINE void stream(T* p, vec<T> v) { store(p, v); }
SIMD_INLINE void stream_fence() {}

SIMD_INLINE vecf operator+(vecf a, vecf b) {
    return each<float>([=](int i) { return vaddq_f32(a.r[i], b.r[i]); });
}
SIMD_INLINE vecd operator+(vecd a, vecd b) {
    return each<double>([=](int i) { return vaddq_f64(a.r[i], b.r[i]); });
}
SIMD_INLINE vecf operator-(vecf a, vecf b) {
    return each<float>([=](int i) { return vsubq_f32(a.r[i], b.r[i]); });
}
SIMD_INLINE vecd operator-(vecd a, vecd b) {
    return each<double>([=](int i) { return vsubq_f64(a.r[i], b.r[i]); });
}
SIMD_INLINE vecf operator*(vecf a, vecf b) {
    return each<float>([=](int i) { return vmulq_f32(a.r[i], b.r[i]); });
}
SIMD_INLINE vecd operator*(vecd a, vecd b) {
    return each<double>([=](int i) { return vmulq_f64(a.r[i], b.r[i]); });
}
SIMD_INLINE vecf operator/(vecf a, vecf b) {
    return each<float>([=](int i) { return vdivq_f32(a.r[i], b.r[i]); });
}
SIMD_INLINE vecd operator/(vecd a, vecd b) {
    return each<double>([=](int i) { return vdivq_f64(a.r[i], b.r[i]); });
}

template <class T> SIMD_INLINE vec<T> fma(vec<T> a, vec<T> b, vec<T> c);
template <> SIMD_INLINE vecf fma(vecf a, vecf b, vecf c) {
    return each<float>([=](int i) { return vfmaq_f32(c.r[i], a.r[i], b.r[i]); });
}
template <> SIMD_INLINE vecd fma(vecd a, vecd b, vecd c) {
    return each<double>([=](int i) { return vfmaq_f64(c.r[i], a.r[i], b.r[i]); });
}

// Not vmaxq and vminq, which let a nan through from either side and order the zeros.
SIMD_INLINE float32x4_t larger(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
SIMD_INLINE float64x2_t larger(float64x2_t a, float64x2_t b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }

template <class T> SIMD_INLINE vec<T> maximum(vec<T> a, vec<T> b) {
    return each<T>([=](int i) { return larger(a.r[i], b.r[i]); });
}

SIMD_INLINE float32x4_t smaller(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
SIMD_INLINE float64x2_t smaller(float64x2_t a, float64x2_t b) { return vbslq_f64(vcltq_f64(a, b), a, b); }

template <class T> SIMD_INLINE vec<T> minimum(vec<T> a, vec<T> b) {
    return each<T>([=](int i) { return smaller(a.r[i], b.r[i]); });
}

template <class T> SIMD_INLINE vec<T> select_equal(vec<T> a, vec<T> b, vec<T> x, vec<T> y);
template <> SIMD_INLINE vecf select_equal(vecf a, vecf b, vecf x, vecf y) {
    return each<float>([=](int i) { return vbslq_f32(vceqq_f32(a.r[i], b.r[i]), x.r[i], y.r[i]); });
}
template <> SIMD_INLINE vecd select_equal(vecd a, vecd b, vecd x, vecd y) {
    return each<double>([=](int i) { return vbslq_f64(vceqq_f64(a.r[i], b.r[i]), x.r[i], y.r[i]); });
}

template <class T> SIMD_INLINE vec<T> select_less(vec<T> a, vec<T> b, vec<T> x, vec<T> y);
template <> SIMD_INLINE vecf select_less(vecf a, vecf b, vecf x, vecf y) {
    return each<float>([=](int i) { return vbslq_f32(vcltq_f32(a.r[i], b.r[i]), x.r[i], y.r[i]); });
}
template <> SIMD_INLINE vecd select_less(vecd a, vecd b, vecd x, vecd y) {
    return each<double>([=](int i) { return vbslq_f64(vcltq_f64(a.r[i], b.r[i]), x.r[i], y.r[i]); });
}

template <class T> SIMD_INLINE vec<T> canonical_nans(vec<T> v) {
    return select_equal(v, v, v, broadcast(T(NAN)));
}

template <class T> SIMD_INLINE vec<T> keep_first(vec<T> v, std::ptrdiff_t k) {
    const uint8x16_t size = vdupq_n_u8(static_cast<std::uint8_t>(k * static_cast<std::ptrdiff_t>(sizeof(T))));
    return each<T>([=](int i) { return from_bytes<T>(vandq_u8(bytes(v.r[i]), vcltq_u8(byte_numbers(16 * i), size))); });
}

template <class T, int s> SIMD_INLINE vec<T> shift_bits(vec<T> v) {
    if constexpr (sizeof(T) == 4) {
        return each<T>([=](int i) { return from_bits(vshlq_n_u32(bits(v.r[i]), s)); });
    } else {
        return each<T>([=](int i) { return from_bits(vshlq_n_u64(bits(v.r[i]), s)); });
    }
}

template <class T> SIMD_INLINE vec<T> add_bits(vec<T> a, vec<T> b);
template <> SIMD_INLINE vecf add_bits(vecf a, vecf b) {
    return each<float>([=](int i) { return from_bits(vaddq_u32(bits(a.r[i]), bits(b.r[i]))); });
}
template <> SIMD_INLINE vecd add_bits(vecd a, vecd b) {
    return each<double>([=](int i) { return from_bits(vaddq_u64(bits(a.r[i]), bits(b.r[i]))); });
}

template <class T> SIMD_INLINE vec<T> sub_bits(vec<T> a, vec<T> b);
template <> SIMD_INLINE vecf sub_bits(vecf a, vecf b) {
    return each<float>([=](int i) { return from_bits(vsubq_u32(bits(a.r[i]), bits(b.r[i]))); });
}
template <> SIMD_INLINE vecd sub_bits(vecd a, vecd b) {
    return each<double>([=](int i) { return from_bits(vsubq_u64(bits(a.r[i]), bits(b.r[i]))); });
}

// Sixteen floats are four registers, which a byte lookup spans: entry e is the bytes 4e, 4e + 1, 4e + 2, 4e + 3.
// Sixteen doubles would take two such lookups, and eight registers for the table: load them singly.
template <class T> SIMD_INLINE vec<T> lookup(const T* table, vec<T> v);
template <> SIMD_INLINE vecf lookup(const float* table, vecf v) {
    const uint8x16x4_t entries = {{bytes(vld1q_f32(table)), bytes(vld1q_f32(table + 4)), bytes(vld1q_f32(table + 8)),
                                  bytes(vld1q_f32(table + 12))}};
    return each<float>([=](int i) {
        const uint32x4_t entry = vandq_u32(bits(v.r[i]), vdupq_n_u32(15));
        const uint32x4_t numbers = vmlaq_u32(vdupq_n_u32(0x03020100), entry, vdupq_n_u32(0x04040404));
        return vreinterpretq_f32_u8(vqtbl4q_u8(entries, vreinterpretq_u8_u32(numbers)));
    });
}
template <> SIMD_INLINE vecd lookup(const double* table, vecd v) {
    return each<double>([=](int i) {
        const uint64x2_t entry = vandq_u64(bits(v.r[i]), vdupq_n_u64(15));
        return vcombine_f64(vld1_f64(table + vgetq_lane_u64(entry, 0)), vld1_f64(table + vgetq_lane_u64(entry, 1)));
    });
}

SIMD_INLINE vecd exponent(vecd v) {
    return each<double>([=](int i) {
        return vsubq_f64(vcvtq_f64_u64(vshrq_n_u64(bits(v.r[i]), 52)), vdupq_n_f64(1023));
    });
}
SIMD_INLINE vecd mantissa(vecd v) {
    return each<double>([=](int i) {
        return vbslq_f64(vdupq_n_u64(0x000fffffffffffff), v.r[i], vdupq_n_f64(1.0));
    });
}

template <class T> SIMD_INLINE T reduce_add(vec<T> v);
template <> SIMD_INLINE float reduce_add(vecf v) {
    const float32x4_t a = vaddq_f32(vaddq_f32(v.r[0], v.r[2]), vaddq_f32(v.r[1], v.r[3]));
    return vpadds_f32(vadd_f32(vget_low_f32(a), vget_high_f32(a)));
}
template <> SIMD_INLINE double reduce_add(vecd v) {
    return vpaddd_f64(vaddq_f64(vaddq_f64(v.r[0], v.r[2]), vaddq_f64(v.r[1], v.r[3])));
}

template <class T> SIMD_INLINE bool any_at_least(vec<T> v, T x);
template <> SIMD_INLINE bool any_at_least(vecf v, float x) {
    const float32x4_t limit = vdupq_n_f32(x);
    const uint32x4_t a = vorrq_u32(vcgeq_f32(v.r[0], limit), vcgeq_f32(v.r[1], limit));
    const uint32x4_t b = vorrq_u32(vcgeq_f32(v.r[2], limit), vcgeq_f32(v.r[3], limit));
    return vmaxvq_u32(vorrq_u32(a, b)) != 0;
}
template <> SIMD_INLINE bool any_at_least(vecd v, double x) {
    const float64x2_t limit = vdupq_n_f64(x);
    const uint64x2_t a = vorrq_u64(vcgeq_f64(v.r[0], limit), vcgeq_f64(v.r[1], limit));
    const uint64x2_t b = vorrq_u64(vcgeq_f64(v.r[2], limit), vcgeq_f64(v.r[3], limit));
    return vmaxvq_u32(vreinterpretq_u32_u64(vorrq_u64(a, b))) != 0;
}

template <class T> SIMD_INLINE T reduce_max(vec<T> v);
template <> SIMD_INLINE float reduce_max(vecf v) {
    const float32x4_t a = larger(larger(v.r[0], v.r[2]), larger(v.r[1], v.r[3]));
    const float32x4_t b = larger(a, vextq_f32(a, a, 2));
    return vgetq_lane_f32(larger(b, vextq_f32(b, b, 1)), 0);
}
template <> SIMD_INLINE double reduce_max(vecd v) {
    const float64x2_t a = larger(larger(v.r[0], v.r[2]), larger(v.r[1], v.r[3]));
    return vgetq_lane_f64(larger(a, vextq_f64(a, a, 1)), 0);
}

SIMD_INLINE vecd widen(float32x4_t low, float32x4_t high) {
    return {{vcvt_f64_f32(vget_low_f32(low)), vcvt_high_f64_f32(low),
             vcvt_f64_f32(vget_low_f32(high)), vcvt_high_f64_f32(high)}};
}
SIMD_INLINE float32x4_t narrow2(float64x2_t low, float64x2_t high) {
    return vcvt_high_f32_f64(vcvt_f32_f64(low), high);
}

SIMD_INLINE vecd widen_low(vecf v) { return widen(v.r[0], v.r[1]); }
SIMD_INLINE vecd widen_high(vecf v) { return widen(v.r[2], v.r[3]); }
SIMD_INLINE vecf narrow(vecd low, vecd high) {
    return {{narrow2(low.r[0], low.r[1]), narrow2(low.r[2], low.r[3]),
             narrow2(high.r[0], high.r[1]), narrow2(high.r[2], high.r[3])}};
}

template <class T> inline void transpose(vec<T>* rows) {
    constexpr int lanes = 64 / sizeof(T);
    T from[lanes * lanes], to[lanes * lanes];
    for (int i = 0; i < lanes; ++i) store(from + i * lanes, rows[i]);
    for (int i = 0; i < lanes; ++i) {
        for (int j = 0; j < lanes; ++j) to[j * lanes + i] = from[i * lanes + j];
    }
    for (int i = 0; i < lanes; ++i) rows[i] = load<T>(to + i * lanes);
}

// 16 bytes of each row are a register; as many rows as it has lanes are transposed at a time.
SIMD_INLINE void transpose_registers(float32x4_t* v) {
    const float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(v[0], v[1])), b = vreinterpretq_f64_f32(vtrn2q_f32(v[0], v[1]));
    const float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(v[2], v[3])), d = vreinterpretq_f64_f32(vtrn2q_f32(v[2], v[3]));
    v[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
    v[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
    v[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
    v[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}
SIMD_INLINE void transpose_registers(float64x2_t* v) {
    const float64x2_t low = vtrn1q_f64(v[0], v[1]);
    v[1] = vtrn2q_f64(v[0], v[1]);
    v[0] = low;
}
SIMD_INLINE float32x4_t load_register(const float* p) { return vld1q_f32(p); }
SIMD_INLINE float64x2_t load_register(const double* p) { return vld1q_f64(p); }
SIMD_INLINE void store_register(float* p, float32x4_t r) { vst1q_f32(p, r); }
SIMD_INLINE void store_register(double* p, float64x2_t r) { vst1q_f64(p, r); }

template <class T>
SIMD_INLINE void load_columns(const T* p, std::ptrdiff_t stride, std::ptrdiff_t count, vec<T>* columns) {
    constexpr std::ptrdiff_t lanes = 16 / sizeof(T);
    decltype(load_register(p)) square[lanes];
    for (std::ptrdiff_t j = 0; j < count; j += lanes) {
        for (int k = 0; k < 4; ++k) {
            for (std::ptrdiff_t r = 0; r < lanes; ++r) square[r] = load_register(p + (k * lanes + r) * stride + j);
            transpose_registers(square);
            for (std::ptrdiff_t r = 0; r < lanes; ++r) columns[j + r].r[k] = square[r];
        }
    }
}

template <class T>
SIMD_INLINE void store_columns(T* p, std::ptrdiff_t stride, std::ptrdiff_t count, const vec<T>* columns) {
    constexpr std::ptrdiff_t lanes = 16 / sizeof(T);
    decltype(load_register(p)) square[lanes];
    for (std::ptrdiff_t j = 0; j < count; j += lanes) {
        for (int k = 0; k < 4; ++k) {
            for (std::ptrdiff_t r = 0; r < lanes; ++r) square[r] = columns[j + r].r[k];
            transpose_registers(square);
            for (std::ptrdiff_t r = 0; r < lanes; ++r) store_register(p + (k * lanes + r) * stride + j, square[r]);
        }
    }
}

SIMD_INLINE vecf load_half(const std::uint16_t* p) {
    return each<float>([=](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); });
}
SIMD_INLINE void store_half(std::uint16_t* p, vecf v) {
    for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(v.r[i])));
}

SIMD_INLINE vecf load_bfloat16(const std::uint16_t* p) {
    return each<float>([=](int i) { return from_bits(vshll_n_u16(vld1_u16(p + 4 * i), 16)); });
}
SIMD_INLINE void store_bfloat16(std::uint16_t* p, vecf v) {
    for (int i = 0; i < 4; ++i) {
        const uint32x4_t b = bits(v.r[i]);
        const uint32x4_t odd = vandq_u32(vshrq_n_u32(b, 16), vdupq_n_u32(1));
        const uint32x4_t rounded = vaddq_u32(b, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
        const uint32x4_t quiet = vorrq_u32(b, vdupq_n_u32(0x00400000));
        vst1_u16(p + 4 * i, vshrn_n_u32(vbslq_u32(vceqq_f32(v.r[i], v.r[i]), rounded, quiet), 16));
    }
}

}  // namespace
}  // namespace simd
