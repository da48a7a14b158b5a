// AVX2 with FMA (x86-64-v3): a vector is two registers, a partial vector a comparison with the lanes' numbers.
#pragma once

#include <immintrin.h>

#include "first_of_16.hpp"

namespace simd {
namespace {

template <class T> struct vec;
template <> struct vec<float> { __m256 low, high; };
template <> struct vec<double> { __m256d low, high; };
using vecf = vec<float>;
using vecd = vec<double>;

constexpr bool has_fma = true;

// All ones in the first k lanes of a register, zeros in the others; k may lie outside the register.
inline __m256i first8(std::ptrdiff_t k) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(k)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline __m256i first4(std::ptrdiff_t k) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(k), _mm256_setr_epi64x(0, 1, 2, 3));
}

template <class T> inline vec<T> load(const T* p);
template <> inline vecf load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
template <> inline vecd load(const double* p) { return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }

template <class T> inline void store(T* p, vec<T> v);
template <> inline void store(float* p, vecf v) {
    _mm256_storeu_ps(p, v.low);
    _mm256_storeu_ps(p + 8, v.high);
}
template <> inline void store(double* p, vecd v) {
    _mm256_storeu_pd(p, v.low);
    _mm256_storeu_pd(p + 4, v.high);
}

// A masked load of no lanes at all touches nothing, so both halves may be asked for whatever k is.
inline __m256 load_first(const float* p, __m256i first, float fill) {
    return _mm256_blendv_ps(_mm256_set1_ps(fill), _mm256_maskload_ps(p, first), _mm256_castsi256_ps(first));
}
inline __m256d load_first(const double* p, __m256i first, double fill) {
    return _mm256_blendv_pd(_mm256_set1_pd(fill), _mm256_maskload_pd(p, first), _mm256_castsi256_pd(first));
}

template <class T> inline vec<T> load_partial(const T* p, std::ptrdiff_t k, T fill);
template <> inline vecf load_partial(const float* p, std::ptrdiff_t k, float fill) {
    return {load_first(p, first8(k), fill), load_first(p + 8, first8(k - 8), fill)};
}
template <> inline vecd load_partial(const double* p, std::ptrdiff_t k, double fill) {
    return {load_first(p, first4(k), fill), load_first(p + 4, first4(k - 4), fill)};
}

// By halves, each an ordinary store. Masked stores need no branches, but on a Zen 4 they took 6.8 ns for the two halves
// of a vec<float>, against about 1 ns.
template <class T> inline void store_partial(T* p, vec<T> v, std::ptrdiff_t k);
template <> inline void store_partial(float* p, vecf v, std::ptrdiff_t k) {
    if (k >= 16) return store(p, v);
    if (k & 8) _mm256_storeu_ps(p, v.low);
    const __m256 eight = k & 8 ? v.high : v.low;
    p += k & 8;
    if (k & 4) _mm_storeu_ps(p, _mm256_castps256_ps128(eight));
    const __m128 four = k & 4 ? _mm256_extractf128_ps(eight, 1) : _mm256_castps256_ps128(eight);
    p += k & 4;
    if (k & 2) _mm_storel_pi(reinterpret_cast<__m64*>(p), four);
    const __m128 two = k & 2 ? _mm_movehl_ps(four, four) : four;
    p += k & 2;
    if (k & 1) _mm_store_ss(p, two);
}
template <> inline void store_partial(double* p, vecd v, std::ptrdiff_t k) {
    if (k >= 8) return store(p, v);
    if (k & 4) _mm256_storeu_pd(p, v.low);
    const __m256d four = k & 4 ? v.high : v.low;
    p += k & 4;
    if (k & 2) _mm_storeu_pd(p, _mm256_castpd256_pd128(four));
    const __m128d two = k & 2 ? _mm256_extractf128_pd(four, 1) : _mm256_castpd256_pd128(four);
    p += k & 2;
    if (k & 1) _mm_store_sd(p, two);
}

template <class T> inline void stream(T* p, vec<T> v);
template <> inline void stream(float* p, vecf v) {
    _mm256_stream_ps(p, v.low);
    _mm256_stream_ps(p + 8, v.high);
}
template <> inline void stream(double* p, vecd v) {
    _mm256_stream_pd(p, v.low);
    _mm256_stream_pd(p + 4, v.high);
}
inline void stream_fence() { _mm_sfence(); }

template <class T> inline vec<T> broadcast(T x);
template <> inline vecf broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
template <> inline vecd broadcast(double x) { return {_mm256_set1_pd(x), _mm256_set1_pd(x)}; }

inline vecf operator+(vecf a, vecf b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
inline vecd operator+(vecd a, vecd b) { return {_mm256_add_pd(a.low, b.low), _mm256_add_pd(a.high, b.high)}; }
inline vecf operator-(vecf a, vecf b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
inline vecd operator-(vecd a, vecd b) { return {_mm256_sub_pd(a.low, b.low), _mm256_sub_pd(a.high, b.high)}; }
inline vecf operator*(vecf a, vecf b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
inline vecd operator*(vecd a, vecd b) { return {_mm256_mul_pd(a.low, b.low), _mm256_mul_pd(a.high, b.high)}; }
inline vecf operator/(vecf a, vecf b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
inline vecd operator/(vecd a, vecd b) { return {_mm256_div_pd(a.low, b.low), _mm256_div_pd(a.high, b.high)}; }

template <class T> inline vec<T> fma(vec<T> a, vec<T> b, vec<T> c);
template <> inline vecf fma(vecf a, vecf b, vecf c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
template <> inline vecd fma(vecd a, vecd b, vecd c) {
    return {_mm256_fmadd_pd(a.low, b.low, c.low), _mm256_fmadd_pd(a.high, b.high, c.high)};
}

template <class T> inline vec<T> maximum(vec<T> a, vec<T> b);
template <> inline vecf maximum(vecf a, vecf b) {
    return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
template <> inline vecd maximum(vecd a, vecd b) {
    return {_mm256_max_pd(a.low, b.low), _mm256_max_pd(a.high, b.high)};
}

template <class T> inline vec<T> minimum(vec<T> a, vec<T> b);
template <> inline vecf minimum(vecf a, vecf b) {
    return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
template <> inline vecd minimum(vecd a, vecd b) {
    return {_mm256_min_pd(a.low, b.low), _mm256_min_pd(a.high, b.high)};
}

template <class T> inline vec<T> select_equal(vec<T> a, vec<T> b, vec<T> x, vec<T> y);
template <> inline vecf select_equal(vecf a, vecf b, vecf x, vecf y) {
    return {_mm256_blendv_ps(y.low, x.low, _mm256_cmp_ps(a.low, b.low, _CMP_EQ_OQ)),
            _mm256_blendv_ps(y.high, x.high, _mm256_cmp_ps(a.high, b.high, _CMP_EQ_OQ))};
}
template <> inline vecd select_equal(vecd a, vecd b, vecd x, vecd y) {
    return {_mm256_blendv_pd(y.low, x.low, _mm256_cmp_pd(a.low, b.low, _CMP_EQ_OQ)),
            _mm256_blendv_pd(y.high, x.high, _mm256_cmp_pd(a.high, b.high, _CMP_EQ_OQ))};
}

template <class T> inline vec<T> select_less(vec<T> a, vec<T> b, vec<T> x, vec<T> y);
template <> inline vecf select_less(vecf a, vecf b, vecf x, vecf y) {
    return {_mm256_blendv_ps(y.low, x.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
            _mm256_blendv_ps(y.high, x.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
}
template <> inline vecd select_less(vecd a, vecd b, vecd x, vecd y) {
    return {_mm256_blendv_pd(y.low, x.low, _mm256_cmp_pd(a.low, b.low, _CMP_LT_OQ)),
            _mm256_blendv_pd(y.high, x.high, _mm256_cmp_pd(a.high, b.high, _CMP_LT_OQ))};
}

template <class T> inline vec<T> canonical_nans(vec<T> v) {
    return select_equal(v, v, v, broadcast(T(NAN)));
}

template <class T> inline vec<T> keep_first(vec<T> v, std::ptrdiff_t k);
template <> inline vecf keep_first(vecf v, std::ptrdiff_t k) {
    return {_mm256_and_ps(v.low, _mm256_castsi256_ps(first8(k))),
            _mm256_and_ps(v.high, _mm256_castsi256_ps(first8(k - 8)))};
}
template <> inline vecd keep_first(vecd v, std::ptrdiff_t k) {
    return {_mm256_and_pd(v.low, _mm256_castsi256_pd(first4(k))),
            _mm256_and_pd(v.high, _mm256_castsi256_pd(first4(k - 4)))};
}

inline __m256i bits(__m256 r) { return _mm256_castps_si256(r); }
inline __m256i bits(__m256d r) { return _mm256_castpd_si256(r); }
inline vecf from_bits32(__m256i low, __m256i high) { return {_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)}; }
inline vecd from_bits64(__m256i low, __m256i high) { return {_mm256_castsi256_pd(low), _mm256_castsi256_pd(high)}; }

template <class T, int s> inline vec<T> shift_bits(vec<T> v) {
    if constexpr (sizeof(T) == 4) {
        return from_bits32(_mm256_slli_epi32(bits(v.low), s), _mm256_slli_epi32(bits(v.high), s));
    } else {
        return from_bits64(_mm256_slli_epi64(bits(v.low), s), _mm256_slli_epi64(bits(v.high), s));
    }
}

template <class T> inline vec<T> add_bits(vec<T> a, vec<T> b);
template <> inline vecf add_bits(vecf a, vecf b) {
    return from_bits32(_mm256_add_epi32(bits(a.low), bits(b.low)), _mm256_add_epi32(bits(a.high), bits(b.high)));
}
template <> inline vecd add_bits(vecd a, vecd b) {
    return from_bits64(_mm256_add_epi64(bits(a.low), bits(b.low)), _mm256_add_epi64(bits(a.high), bits(b.high)));
}

template <class T> inline vec<T> sub_bits(vec<T> a, vec<T> b);
template <> inline vecf sub_bits(vecf a, vecf b) {
    return from_bits32(_mm256_sub_epi32(bits(a.low), bits(b.low)), _mm256_sub_epi32(bits(a.high), bits(b.high)));
}
template <> inline vecd sub_bits(vecd a, vecd b) {
    return from_bits64(_mm256_sub_epi64(bits(a.low), bits(b.low)), _mm256_sub_epi64(bits(a.high), bits(b.high)));
}

// Four loads, and no gather or permutation of registers: inside an exponential those took a sixth longer on a Zen 4
// (0.77 against 0.67 ns an element), and many Intel processors have a slow gather since their microcode was mended.
inline __m256d lookup4(const double* table, __m256d r) {
    const __m256i entry = _mm256_and_si256(bits(r), _mm256_set1_epi64x(15));
    const __m128i low = _mm256_castsi256_si128(entry), high = _mm256_extracti128_si256(entry, 1);
    return _mm256_setr_pd(table[_mm_cvtsi128_si64(low)], table[_mm_extract_epi64(low, 1)],
                          table[_mm_cvtsi128_si64(high)], table[_mm_extract_epi64(high, 1)]);
}

// Two lookups of eight entries; bit 3, moved to the sign, chooses.
inline __m256 lookup8(const float* table, __m256 r) {
    const __m256 first = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), bits(r));
    const __m256 second = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), bits(r));
    return _mm256_blendv_ps(first, second, _mm256_castsi256_ps(_mm256_slli_epi32(bits(r), 28)));
}

template <class T> inline vec<T> lookup(const T* table, vec<T> v);
template <> inline vecf lookup(const float* table, vecf v) {
    return {lookup8(table, v.low), lookup8(table, v.high)};
}
template <> inline vecd lookup(const double* table, vecd v) { return {lookup4(table, v.low), lookup4(table, v.high)}; }

// The biased exponent becomes the low bits of 2^52 + exponent, a double like any other.
inline __m256d exponent4(__m256d r) {
    const __m256i above = _mm256_or_si256(_mm256_srli_epi64(bits(r), 52), bits(_mm256_set1_pd(0x1p52)));
    return _mm256_sub_pd(_mm256_castsi256_pd(above), _mm256_set1_pd(0x1p52 + 1023));
}
inline __m256d mantissa4(__m256d r) {
    const __m256d fraction = _mm256_castsi256_pd(_mm256_set1_epi64x(0x000fffffffffffff));
    return _mm256_or_pd(_mm256_and_pd(r, fraction), _mm256_set1_pd(1.0));
}

inline vecd exponent(vecd v) { return {exponent4(v.low), exponent4(v.high)}; }
inline vecd mantissa(vecd v) { return {mantissa4(v.low), mantissa4(v.high)}; }

template <class T> inline bool any_at_least(vec<T> v, T x);
template <> inline bool any_at_least(vecf v, float x) {
    const __m256 limit = _mm256_set1_ps(x);
    return _mm256_movemask_ps(_mm256_or_ps(_mm256_cmp_ps(v.low, limit, _CMP_GE_OQ),
                                           _mm256_cmp_ps(v.high, limit, _CMP_GE_OQ))) != 0;
}
template <> inline bool any_at_least(vecd v, double x) {
    const __m256d limit = _mm256_set1_pd(x);
    return _mm256_movemask_pd(_mm256_or_pd(_mm256_cmp_pd(v.low, limit, _CMP_GE_OQ),
                                           _mm256_cmp_pd(v.high, limit, _CMP_GE_OQ))) != 0;
}

template <class T> inline T reduce_add(vec<T> v);
template <> inline float reduce_add(vecf v) {
    const __m256 a = _mm256_add_ps(v.low, v.high);
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
template <> inline double reduce_add(vecd v) {
    const __m256d a = _mm256_add_pd(v.low, v.high);
    const __m128d b = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(b, _mm_unpackhi_pd(b, b)));
}

template <class T> inline T reduce_max(vec<T> v);
template <> inline float reduce_max(vecf v) {
    const __m256 a = _mm256_max_ps(v.low, v.high);
    const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}
template <> inline double reduce_max(vecd v) {
    const __m256d a = _mm256_max_pd(v.low, v.high);
    const __m128d b = _mm_max_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_max_sd(b, _mm_unpackhi_pd(b, b)));
}

inline vecd widen(__m256 r) {
    return {_mm256_cvtps_pd(_mm256_castps256_ps128(r)), _mm256_cvtps_pd(_mm256_extractf128_ps(r, 1))};
}
inline __m256 narrow8(vecd v) { return _mm256_set_m128(_mm256_cvtpd_ps(v.high), _mm256_cvtpd_ps(v.low)); }

inline vecd widen_low(vecf v) { return widen(v.low); }
inline vecd widen_high(vecf v) { return widen(v.high); }
inline vecf narrow(vecd low, vecd high) { return {narrow8(low), narrow8(high)}; }

// Four squares of a register's width are transposed each in itself; the two off the diagonal change places.
inline void transpose8(__m256* r) {
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
        b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    for (int i = 0; i < 4; ++i) {
        r[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}
inline void transpose4(__m256d* r) {
    __m256d a[4];
    for (int i = 0; i < 4; i += 2) {
        a[i] = _mm256_unpacklo_pd(r[i], r[i + 1]);
        a[i + 1] = _mm256_unpackhi_pd(r[i], r[i + 1]);
    }
    for (int i = 0; i < 2; ++i) {
        r[i] = _mm256_permute2f128_pd(a[i], a[i + 2], 0x20);
        r[i + 2] = _mm256_permute2f128_pd(a[i], a[i + 2], 0x31);
    }
}

template <class T> inline void transpose(vec<T>* rows);
template <> inline void transpose(vecf* rows) {
    __m256 top_left[8], top_right[8], bottom_left[8], bottom_right[8];
    for (int i = 0; i < 8; ++i) {
        top_left[i] = rows[i].low;
        top_right[i] = rows[i].high;
        bottom_left[i] = rows[i + 8].low;
        bottom_right[i] = rows[i + 8].high;
    }
    transpose8(top_left);
    transpose8(top_right);
    transpose8(bottom_left);
    transpose8(bottom_right);
    for (int i = 0; i < 8; ++i) {
        rows[i] = {top_left[i], bottom_left[i]};
        rows[i + 8] = {top_right[i], bottom_right[i]};
    }
}
template <> inline void transpose(vecd* rows) {
    __m256d top_left[4], top_right[4], bottom_left[4], bottom_right[4];
    for (int i = 0; i < 4; ++i) {
        top_left[i] = rows[i].low;
        top_right[i] = rows[i].high;
        bottom_left[i] = rows[i + 4].low;
        bottom_right[i] = rows[i + 4].high;
    }
    transpose4(top_left);
    transpose4(top_right);
    transpose4(bottom_left);
    transpose4(bottom_right);
    for (int i = 0; i < 4; ++i) {
        rows[i] = {top_left[i], bottom_left[i]};
        rows[i + 4] = {top_right[i], bottom_right[i]};
    }
}

// 16 bytes of each row are half a register. The halves of register r are rows r and r + R, of R lanes in a half; transposing
// the halves of R registers leaves R columns of 2R rows, in order. Halves that come from memory need no shuffle.
inline void transpose_halves(__m256* v) {
    const __m256 a = _mm256_unpacklo_ps(v[0], v[1]), b = _mm256_unpackhi_ps(v[0], v[1]);
    const __m256 c = _mm256_unpacklo_ps(v[2], v[3]), d = _mm256_unpackhi_ps(v[2], v[3]);
    v[0] = _mm256_shuffle_ps(a, c, 0x44);
    v[1] = _mm256_shuffle_ps(a, c, 0xee);
    v[2] = _mm256_shuffle_ps(b, d, 0x44);
    v[3] = _mm256_shuffle_ps(b, d, 0xee);
}
inline void transpose_halves(__m256d* v) {
    const __m256d low = _mm256_unpacklo_pd(v[0], v[1]);
    v[1] = _mm256_unpackhi_pd(v[0], v[1]);
    v[0] = low;
}

inline __m256 halves(const float* a, const float* b) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(a)), _mm_loadu_ps(b), 1);
}
inline __m256d halves(const double* a, const double* b) {
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(a)), _mm_loadu_pd(b), 1);
}
inline void store_halves(float* a, float* b, __m256 v) {
    _mm_storeu_ps(a, _mm256_castps256_ps128(v));
    _mm_storeu_ps(b, _mm256_extractf128_ps(v, 1));
}
inline void store_halves(double* a, double* b, __m256d v) {
    _mm_storeu_pd(a, _mm256_castpd256_pd128(v));
    _mm_storeu_pd(b, _mm256_extractf128_pd(v, 1));
}

template <class T> inline void load_columns(const T* p, std::ptrdiff_t stride, std::ptrdiff_t count, vec<T>* columns) {
    constexpr std::ptrdiff_t half = 16 / sizeof(T);
    decltype(columns->low) low[half], high[half];
    for (std::ptrdiff_t j = 0; j < count; j += half) {
        for (std::ptrdiff_t r = 0; r < half; ++r) {
            const T* row = p + r * stride + j;
            low[r] = halves(row, row + half * stride);
            high[r] = halves(row + 2 * half * stride, row + 3 * half * stride);
        }
        transpose_halves(low);
        transpose_halves(high);
        for (std::ptrdiff_t r = 0; r < half; ++r) columns[j + r] = {low[r], high[r]};
    }
}

template <class T> inline void store_columns(T* p, std::ptrdiff_t stride, std::ptrdiff_t count, const vec<T>* columns) {
    constexpr std::ptrdiff_t half = 16 / sizeof(T);
    decltype(columns->low) low[half], high[half];
    for (std::ptrdiff_t j = 0; j < count; j += half) {
        for (std::ptrdiff_t r = 0; r < half; ++r) {
            low[r] = columns[j + r].low;
            high[r] = columns[j + r].high;
        }
        transpose_halves(low);
        transpose_halves(high);
        for (std::ptrdiff_t r = 0; r < half; ++r) {
            T* row = p + r * stride + j;
            store_halves(row, row + half * stride, low[r]);
            store_halves(row + 2 * half * stride, row + 3 * half * stride, high[r]);
        }
    }
}

inline __m256 load_half8(const std::uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline void store_half8(std::uint16_t* p, __m256 r) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(r, _MM_FROUND_TO_NEAREST_INT));
}
inline vecf load_half(const std::uint16_t* p) { return {load_half8(p), load_half8(p + 8)}; }
inline void store_half(std::uint16_t* p, vecf v) {
    store_half8(p, v.low);
    store_half8(p + 8, v.high);
}

inline __m256i load_bfloat16_8(const std::uint16_t* p) {
    const __m256i b = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return _mm256_slli_epi32(b, 16);
}
inline __m256i bfloat16_bits(__m256 r) {
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits(r), 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits(r), _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits(r), _mm256_set1_epi32(0x00400000));
    const __m256i mended = _mm256_blendv_epi8(rounded, quiet, bits(_mm256_cmp_ps(r, r, _CMP_UNORD_Q)));
    return _mm256_srli_epi32(mended, 16);
}
inline vecf load_bfloat16(const std::uint16_t* p) { return from_bits32(load_bfloat16_8(p), load_bfloat16_8(p + 8)); }
inline void store_bfloat16(std::uint16_t* p, vecf v) {
    const __m256i packed = _mm256_packus_epi32(bfloat16_bits(v.low), bfloat16_bits(v.high));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}

}  // namespace
}  // namespace simd
