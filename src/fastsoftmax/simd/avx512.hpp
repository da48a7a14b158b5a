// AVX-512 (x86-64-v4: F, DQ, CD, BW, VL): a vector is one register, a partial vector a mask.
#pragma once

#include <immintrin.h>

namespace simd {
namespace {

template <class T> struct vec;
template <> struct vec<float> { __m512 r; };
template <> struct vec<double> { __m512d r; };
using vecf = vec<float>;
using vecd = vec<double>;

constexpr bool has_fma = true;

inline __mmask16 first16(std::ptrdiff_t k) { return static_cast<__mmask16>((1u << k) - 1u); }
inline __mmask8 first8(std::ptrdiff_t k) { return static_cast<__mmask8>((1u << k) - 1u); }

template <class T> inline vec<T> load(const T* p);
template <> inline vecf load(const float* p) { return {_mm512_loadu_ps(p)}; }
template <> inline vecd load(const double* p) { return {_mm512_loadu_pd(p)}; }

template <class T> inline void store(T* p, vec<T> v);
template <> inline void store(float* p, vecf v) { _mm512_storeu_ps(p, v.r); }
template <> inline void store(double* p, vecd v) { _mm512_storeu_pd(p, v.r); }

template <class T> inline vec<T> load_partial(const T* p, std::ptrdiff_t k, T fill);
template <> inline vecf load_partial(const float* p, std::ptrdiff_t k, float fill) {
    return {_mm512_mask_loadu_ps(_mm512_set1_ps(fill), first16(k), p)};
}
template <> inline vecd load_partial(const double* p, std::ptrdiff_t k, double fill) {
    return {_mm512_mask_loadu_pd(_mm512_set1_pd(fill), first8(k), p)};
}

template <class T> inline void store_partial(T* p, vec<T> v, std::ptrdiff_t k);
template <> inline void store_partial(float* p, vecf v, std::ptrdiff_t k) {
    _mm512_mask_storeu_ps(p, first16(k), v.r);
}
template <> inline void store_partial(double* p, vecd v, std::ptrdiff_t k) {
    _mm512_mask_storeu_pd(p, first8(k), v.r);
}

template <class T> inline void stream(T* p, vec<T> v);
template <> inline void stream(float* p, vecf v) { _mm512_stream_ps(p, v.r); }
template <> inline void stream(double* p, vecd v) { _mm512_stream_pd(p, v.r); }
inline void stream_fence() { _mm_sfence(); }

template <class T> inline vec<T> broadcast(T x);
template <> inline vecf broadcast(float x) { return {_mm512_set1_ps(x)}; }
template <> inline vecd broadcast(double x) { return {_mm512_set1_pd(x)}; }

inline vecf operator+(vecf a, vecf b) { return {_mm512_add_ps(a.r, b.r)}; }
inline vecd operator+(vecd a, vecd b) { return {_mm512_add_pd(a.r, b.r)}; }
inline vecf operator-(vecf a, vecf b) { return {_mm512_sub_ps(a.r, b.r)}; }
inline vecd operator-(vecd a, vecd b) { return {_mm512_sub_pd(a.r, b.r)}; }
inline vecf operator*(vecf a, vecf b) { return {_mm512_mul_ps(a.r, b.r)}; }
inline vecd operator*(vecd a, vecd b) { return {_mm512_mul_pd(a.r, b.r)}; }
inline vecf operator/(vecf a, vecf b) { return {_mm512_div_ps(a.r, b.r)}; }
inline vecd operator/(vecd a, vecd b) { return {_mm512_div_pd(a.r, b.r)}; }

template <class T> inline vec<T> fma(vec<T> a, vec<T> b, vec<T> c);
template <> inline vecf fma(vecf a, vecf b, vecf c) { return {_mm512_fmadd_ps(a.r, b.r, c.r)}; }
template <> inline vecd fma(vecd a, vecd b, vecd c) { return {_mm512_fmadd_pd(a.r, b.r, c.r)}; }

template <class T> inline vec<T> maximum(vec<T> a, vec<T> b);
template <> inline vecf maximum(vecf a, vecf b) { return {_mm512_max_ps(a.r, b.r)}; }
template <> inline vecd maximum(vecd a, vecd b) { return {_mm512_max_pd(a.r, b.r)}; }

template <class T> inline vec<T> minimum(vec<T> a, vec<T> b);
template <> inline vecf minimum(vecf a, vecf b) { return {_mm512_min_ps(a.r, b.r)}; }
template <> inline vecd minimum(vecd a, vecd b) { return {_mm512_min_pd(a.r, b.r)}; }

template <class T> inline vec<T> select_equal(vec<T> a, vec<T> b, vec<T> x, vec<T> y);
template <> inline vecf select_equal(vecf a, vecf b, vecf x, vecf y) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.r, b.r, _CMP_EQ_OQ), y.r, x.r)};
}
template <> inline vecd select_equal(vecd a, vecd b, vecd x, vecd y) {
    return {_mm512_mask_blend_pd(_mm512_cmp_pd_mask(a.r, b.r, _CMP_EQ_OQ), y.r, x.r)};
}

template <class T> inline vec<T> select_less(vec<T> a, vec<T> b, vec<T> x, vec<T> y);
template <> inline vecf select_less(vecf a, vecf b, vecf x, vecf y) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.r, b.r, _CMP_LT_OQ), y.r, x.r)};
}
template <> inline vecd select_less(vecd a, vecd b, vecd x, vecd y) {
    return {_mm512_mask_blend_pd(_mm512_cmp_pd_mask(a.r, b.r, _CMP_LT_OQ), y.r, x.r)};
}

// The table has four bits for each of eight kinds of numbers: 0, of nans, takes the first operand, 1 the second.
template <class T> inline vec<T> canonical_nans(vec<T> v);
template <> inline vecf canonical_nans(vecf v) {
    return {_mm512_fixupimm_ps(_mm512_set1_ps(NAN), v.r, _mm512_set1_epi32(0x11111100), 0)};
}
template <> inline vecd canonical_nans(vecd v) {
    return {_mm512_fixupimm_pd(_mm512_set1_pd(NAN), v.r, _mm512_set1_epi64(0x11111100), 0)};
}

template <class T> inline vec<T> keep_first(vec<T> v, std::ptrdiff_t k);
template <> inline vecf keep_first(vecf v, std::ptrdiff_t k) { return {_mm512_maskz_mov_ps(first16(k), v.r)}; }
template <> inline vecd keep_first(vecd v, std::ptrdiff_t k) { return {_mm512_maskz_mov_pd(first8(k), v.r)}; }

inline __m512i bits(vecf v) { return _mm512_castps_si512(v.r); }
inline __m512i bits(vecd v) { return _mm512_castpd_si512(v.r); }

template <class T, int s> inline vec<T> shift_bits(vec<T> v) {
    if constexpr (sizeof(T) == 4) {
        return {_mm512_castsi512_ps(_mm512_slli_epi32(bits(v), s))};
    } else {
        return {_mm512_castsi512_pd(_mm512_slli_epi64(bits(v), s))};
    }
}

template <class T> inline vec<T> add_bits(vec<T> a, vec<T> b);
template <> inline vecf add_bits(vecf a, vecf b) {
    return {_mm512_castsi512_ps(_mm512_add_epi32(bits(a), bits(b)))};
}
template <> inline vecd add_bits(vecd a, vecd b) {
    return {_mm512_castsi512_pd(_mm512_add_epi64(bits(a), bits(b)))};
}

template <class T> inline vec<T> sub_bits(vec<T> a, vec<T> b);
template <> inline vecf sub_bits(vecf a, vecf b) {
    return {_mm512_castsi512_ps(_mm512_sub_epi32(bits(a), bits(b)))};
}
template <> inline vecd sub_bits(vecd a, vecd b) {
    return {_mm512_castsi512_pd(_mm512_sub_epi64(bits(a), bits(b)))};
}

template <class T> inline vec<T> lookup(const T* table, vec<T> v);
template <> inline vecf lookup(const float* table, vecf v) {
    return {_mm512_permutexvar_ps(bits(v), _mm512_loadu_ps(table))};
}
template <> inline vecd lookup(const double* table, vecd v) {
    return {_mm512_permutex2var_pd(_mm512_loadu_pd(table), bits(v), _mm512_loadu_pd(table + 8))};
}

inline vecd exponent(vecd v) { return {_mm512_getexp_pd(v.r)}; }
inline vecd mantissa(vecd v) { return {_mm512_getmant_pd(v.r, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src)}; }

// Written out, not _mm512_reduce_*: the order of the sum is part of the vocabulary's contract.
inline __m256 low_half(__m512 v) { return _mm512_castps512_ps256(v); }
inline __m256 high_half(__m512 v) { return _mm512_extractf32x8_ps(v, 1); }
inline __m256d low_half(__m512d v) { return _mm512_castpd512_pd256(v); }
inline __m256d high_half(__m512d v) { return _mm512_extractf64x4_pd(v, 1); }

template <class T> inline bool any_at_least(vec<T> v, T x);
template <> inline bool any_at_least(vecf v, float x) {
    return _mm512_cmp_ps_mask(v.r, _mm512_set1_ps(x), _CMP_GE_OQ) != 0;
}
template <> inline bool any_at_least(vecd v, double x) {
    return _mm512_cmp_pd_mask(v.r, _mm512_set1_pd(x), _CMP_GE_OQ) != 0;
}

template <class T> inline T reduce_add(vec<T> v);
template <> inline float reduce_add(vecf v) {
    const __m256 a = _mm256_add_ps(low_half(v.r), high_half(v.r));
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
template <> inline double reduce_add(vecd v) {
    const __m256d a = _mm256_add_pd(low_half(v.r), high_half(v.r));
    const __m128d b = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(b, _mm_unpackhi_pd(b, b)));
}

template <class T> inline T reduce_max(vec<T> v);
template <> inline float reduce_max(vecf v) {
    const __m256 a = _mm256_max_ps(low_half(v.r), high_half(v.r));
    const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}
template <> inline double reduce_max(vecd v) {
    const __m256d a = _mm256_max_pd(low_half(v.r), high_half(v.r));
    const __m128d b = _mm_max_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_max_sd(b, _mm_unpackhi_pd(b, b)));
}

inline vecd widen_low(vecf v) { return {_mm512_cvtps_pd(low_half(v.r))}; }
inline vecd widen_high(vecf v) { return {_mm512_cvtps_pd(high_half(v.r))}; }
inline vecf narrow(vecd low, vecd high) {
    return {_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low.r)), _mm512_cvtpd_ps(high.r), 1)};
}

inline void put_first(std::uint16_t* to, const std::uint16_t* from, std::ptrdiff_t k) {
    _mm256_mask_storeu_epi16(to, first16(k), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline void take_first(std::uint16_t* to, const std::uint16_t* from, std::ptrdiff_t k) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_maskz_loadu_epi16(first16(k), from));
}

inline vecf load_half(const std::uint16_t* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline void store_half(std::uint16_t* p, vecf v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v.r, _MM_FROUND_TO_NEAREST_INT));
}

// Not by vcvtneps2bf16, an extension that takes subnormal numbers for zeros.
inline vecf load_bfloat16(const std::uint16_t* p) {
    const __m512i b = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(b, 16))};
}
inline void store_bfloat16(std::uint16_t* p, vecf v) {
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits(v), 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits(v), _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __m512i mended = _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(v.r, v.r, _CMP_UNORD_Q), bits(v),
                                                _mm512_set1_epi32(0x00400000));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(mended, 16)));
}

// Pairs, pairs of pairs, and so on: each step doubles the length of what stands together from one row.
template <class T> inline void transpose(vec<T>* rows);
template <> inline void transpose(vecf* rows) {
    __m512 a[16], b[16];
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_ps(rows[i].r, rows[i + 1].r);
        a[i + 1] = _mm512_unpackhi_ps(rows[i].r, rows[i + 1].r);
    }
    for (int i = 0; i < 16; i += 4) {
        b[i] = _mm512_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm512_shuffle_ps(a[i], a[i + 2], 0xee);
        b[i + 2] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    for (int i = 0; i < 4; ++i) {
        a[i] = _mm512_shuffle_f32x4(b[i], b[i + 4], 0x88);
        a[i + 4] = _mm512_shuffle_f32x4(b[i], b[i + 4], 0xdd);
        a[i + 8] = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0x88);
        a[i + 12] = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; ++i) {
        rows[i].r = _mm512_shuffle_f32x4(a[i], a[i + 8], 0x88);
        rows[i + 8].r = _mm512_shuffle_f32x4(a[i], a[i + 8], 0xdd);
    }
}
template <> inline void transpose(vecd* rows) {
    __m512d a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm512_unpacklo_pd(rows[i].r, rows[i + 1].r);
        a[i + 1] = _mm512_unpackhi_pd(rows[i].r, rows[i + 1].r);
    }
    for (int i = 0; i < 2; ++i) {
        b[i] = _mm512_shuffle_f64x2(a[i], a[i + 2], 0x88);
        b[i + 2] = _mm512_shuffle_f64x2(a[i], a[i + 2], 0xdd);
        b[i + 4] = _mm512_shuffle_f64x2(a[i + 4], a[i + 6], 0x88);
        b[i + 6] = _mm512_shuffle_f64x2(a[i + 4], a[i + 6], 0xdd);
    }
    for (int i = 0; i < 4; ++i) {
        rows[i].r = _mm512_shuffle_f64x2(b[i], b[i + 4], 0x88);
        rows[i + 4].r = _mm512_shuffle_f64x2(b[i], b[i + 4], 0xdd);
    }
}

// 16 bytes of each row are a quarter of a register. The quarters of register r are rows r, r + R, r + 2R and r + 3R, of R lanes
// in a quarter; transposing the quarters of R registers leaves R columns of all rows, in order. Quarters that come from
// memory need no shuffle, so this takes half the time of `transpose` (Zen 4).
inline __m512 transpose_halves(__m512 a, __m512 b, int high) {
    const __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
    return _mm512_castpd_ps(high ? _mm512_unpackhi_pd(x, y) : _mm512_unpacklo_pd(x, y));
}
inline void transpose_quarters(vecf* v) {
    const __m512 a = _mm512_unpacklo_ps(v[0].r, v[1].r), b = _mm512_unpackhi_ps(v[0].r, v[1].r);
    const __m512 c = _mm512_unpacklo_ps(v[2].r, v[3].r), d = _mm512_unpackhi_ps(v[2].r, v[3].r);
    v[0].r = transpose_halves(a, c, 0);
    v[1].r = transpose_halves(a, c, 1);
    v[2].r = transpose_halves(b, d, 0);
    v[3].r = transpose_halves(b, d, 1);
}
inline void transpose_quarters(vecd* v) {
    const __m512d low = _mm512_unpacklo_pd(v[0].r, v[1].r);
    v[1].r = _mm512_unpackhi_pd(v[0].r, v[1].r);
    v[0].r = low;
}

inline __m512i quarters(const void* a, const void* b, const void* c, const void* d) {
    const auto at = [](const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); };
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(at(a)), at(b), 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(at(c)), at(d), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
inline vecf of_bits(float, __m512i b) { return {_mm512_castsi512_ps(b)}; }
inline vecd of_bits(double, __m512i b) { return {_mm512_castsi512_pd(b)}; }

template <class T> inline void load_columns(const T* p, std::ptrdiff_t stride, std::ptrdiff_t count, vec<T>* columns) {
    constexpr std::ptrdiff_t quarter = 16 / sizeof(T);
    for (std::ptrdiff_t j = 0; j < count; j += quarter) {
        for (std::ptrdiff_t r = 0; r < quarter; ++r) {
            const T* row = p + r * stride + j;
            const std::ptrdiff_t next = quarter * stride;
            columns[j + r] = of_bits(T(0), quarters(row, row + next, row + 2 * next, row + 3 * next));
        }
        transpose_quarters(columns + j);
    }
}

// Stores are dear: 32 bytes of a row go in one, which brings two quarters together first.
template <class T> inline void store_columns(T* p, std::ptrdiff_t stride, std::ptrdiff_t count, const vec<T>* columns) {
    constexpr std::ptrdiff_t quarter = 16 / sizeof(T);
    const std::ptrdiff_t next = quarter * stride;
    vec<T> first[quarter], second[quarter];
    for (std::ptrdiff_t r = 0; r < quarter; ++r) {
        first[r] = columns[r];
        second[r] = columns[count == quarter ? r : quarter + r];
    }
    transpose_quarters(first);
    transpose_quarters(second);
    for (std::ptrdiff_t r = 0; r < quarter; ++r) {
        T* row = p + r * stride;
        const __m512i a = bits(first[r]), b = bits(second[r]);
        const auto put16 = [=](T* to, __m128i part) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), part); };
        const auto put32 = [=](T* to, __m256i part) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), part); };
        if (count == quarter) {
            put16(row, _mm512_castsi512_si128(a));
            put16(row + next, _mm512_extracti32x4_epi32(a, 1));
            put16(row + 2 * next, _mm512_extracti32x4_epi32(a, 2));
            put16(row + 3 * next, _mm512_extracti32x4_epi32(a, 3));
        } else {
            const __m512i low = _mm512_permutex2var_epi64(a, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), b);
            const __m512i high = _mm512_permutex2var_epi64(a, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), b);
            put32(row, _mm512_castsi512_si256(low));
            put32(row + next, _mm512_extracti64x4_epi64(low, 1));
            put32(row + 2 * next, _mm512_castsi512_si256(high));
            put32(row + 3 * next, _mm512_extracti64x4_epi64(high, 1));
        }
    }
}

}  // namespace
}  // namespace simd
