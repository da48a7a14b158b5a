// Any machine: a vector is an array of parts. Where gcc or clang compile, a part is 16 bytes of their vector extension,
// elsewhere it is one number; everything but part_of is written once, in expressions that hold for both.
//
// The extension is there because gcc does not vectorise the loops over single numbers: a float exponential took 3.7 ns
// an element with them and 0.9 ns with 16 bytes (Zen 4). FASTSOFTMAX_SINGLE_LANES compiles the loops all the same, for
// the tests.
#pragma once

#include "always_inline.hpp"
#include "first_of_16.hpp"

namespace simd {
namespace {

// of(f) is the part of f(0), f(1), ...; lane(x, j) takes lane j out of a part or of its bits.
template <class T> struct part_of;
#if defined(__GNUC__) && !defined(FASTSOFTMAX_SINGLE_LANES)
template <> struct part_of<float> {
    typedef float type __attribute__((vector_size(16)));
    typedef std::uint32_t bits __attribute__((vector_size(16)));
    template <class F> static type of(F f) { return type{f(0), f(1), f(2), f(3)}; }
    template <class V> static auto lane(V x, std::ptrdiff_t j) { return x[j]; }
};
template <> struct part_of<double> {
    typedef double type __attribute__((vector_size(16)));
    typedef std::uint64_t bits __attribute__((vector_size(16)));
    template <class F> static type of(F f) { return type{f(0), f(1)}; }
    template <class V> static auto lane(V x, std::ptrdiff_t j) { return x[j]; }
};
#else
template <> struct part_of<float> {
    using type = float;
    using bits = std::uint32_t;
    template <class F> static type of(F f) { return f(0); }
    template <class V> static V lane(V x, std::ptrdiff_t) { return x; }
};
template <> struct part_of<double> {
    using type = double;
    using bits = std::uint64_t;
    template <class F> static type of(F f) { return f(0); }
    template <class V> static V lane(V x, std::ptrdiff_t) { return x; }
};
#endif
template <class T> using part = typename part_of<T>::type;
template <class T> using part_bits = typename part_of<T>::bits;

template <class T> struct vec { part<T> p[64 / sizeof(part<T>)]; };
using vecf = vec<float>;
using vecd = vec<double>;

constexpr bool has_fma = false;

template <class T> constexpr std::ptrdiff_t lanes = 64 / sizeof(T);
template <class T> constexpr std::ptrdiff_t parts = 64 / sizeof(part<T>);
template <class T> constexpr std::ptrdiff_t width = sizeof(part<T>) / sizeof(T);

template <class To, class From> SIMD_INLINE To same_bits(From x) {
    To y;
    static_assert(sizeof y == sizeof x);
    std::memcpy(&y, &x, sizeof y);
    return y;
}

// Part by part: f(a, b, ...).
template <class T, class F, class... V> SIMD_INLINE vec<T> map(F f, V... v) {
    vec<T> out;
    for (std::ptrdiff_t i = 0; i < parts<T>; ++i) out.p[i] = f(v.p[i]...);
    return out;
}
// The same with the parts' bits as integers.
template <class T, class F, class... V> SIMD_INLINE vec<T> map_bits(F f, V... v) {
    return map<T>([=](auto... x) { return same_bits<part<T>>(f(same_bits<part_bits<T>>(x)...)); }, v...);
}

// Part by part too: as one copy of 64 bytes, gcc takes it through the stack.
template <class T> SIMD_INLINE vec<T> load(const T* p) {
    vec<T> v;
    for (std::ptrdiff_t i = 0; i < parts<T>; ++i) std::memcpy(&v.p[i], p + i * width<T>, sizeof v.p[i]);
    return v;
}
template <class T> SIMD_INLINE void store(T* p, vec<T> v) {
    for (std::ptrdiff_t i = 0; i < parts<T>; ++i) std::memcpy(p + i * width<T>, &v.p[i], sizeof v.p[i]);
}

template <class T> SIMD_INLINE vec<T> load_partial(const T* p, std::ptrdiff_t k, T fill) {
    vec<T> v;
    for (std::ptrdiff_t i = 0; i < parts<T>; ++i, p += width<T>, k -= width<T>) {
        if (k >= width<T>) {
            std::memcpy(&v.p[i], p, sizeof v.p[i]);
        } else {
            v.p[i] = part_of<T>::of([=](std::ptrdiff_t j) { return j < k ? p[j] : fill; });
        }
    }
    return v;
}
template <class T> SIMD_INLINE void store_partial(T* p, vec<T> v, std::ptrdiff_t k) {
    for (std::ptrdiff_t i = 0; i < parts<T>; ++i, p += width<T>, k -= width<T>) {
        if (k >= width<T>) {
            std::memcpy(p, &v.p[i], sizeof v.p[i]);
        } else {
            for (std::ptrdiff_t j = 0; j < width<T>; ++j)
                if (j < k) p[j] = part_of<T>::lane(v.p[i], j);
        }
    }
}

// An ordinary store: there is no portable other.
template <class T> SIMD_INLINE void stream(T* p, vec<T> v) { store(p, v); }
SIMD_INLINE void stream_fence() {}

template <class T> SIMD_INLINE vec<T> broadcast(T x) {
    vec<T> v;
    for (std::ptrdiff_t i = 0; i < parts<T>; ++i) v.p[i] = part_of<T>::of([=](std::ptrdiff_t) { return x; });
    return v;
}

template <class T> SIMD_INLINE vec<T> operator+(vec<T> a, vec<T> b) {
    return map<T>([](auto x, auto y) { return x + y; }, a, b);
}
template <class T> SIMD_INLINE vec<T> operator-(vec<T> a, vec<T> b) {
    return map<T>([](auto x, auto y) { return x - y; }, a, b);
}
template <class T> SIMD_INLINE vec<T> operator*(vec<T> a, vec<T> b) {
    return map<T>([](auto x, auto y) { return x * y; }, a, b);
}
template <class T> SIMD_INLINE vec<T> operator/(vec<T> a, vec<T> b) {
    return map<T>([](auto x, auto y) { return x / y; }, a, b);
}

template <class T> SIMD_INLINE vec<T> fma(vec<T> a, vec<T> b, vec<T> c) { return a * b + c; }

template <class T> SIMD_INLINE vec<T> maximum(vec<T> a, vec<T> b) {
    return map<T>([](auto x, auto y) { return x > y ? x : y; }, a, b);
}

template <class T> SIMD_INLINE vec<T> minimum(vec<T> a, vec<T> b) {
    return map<T>([](auto x, auto y) { return x < y ? x : y; }, a, b);
}

template <class T> SIMD_INLINE vec<T> select_equal(vec<T> a, vec<T> b, vec<T> x, vec<T> y) {
    return map<T>([](auto p, auto q, auto s, auto t) { return p == q ? s : t; }, a, b, x, y);
}

template <class T> SIMD_INLINE vec<T> select_less(vec<T> a, vec<T> b, vec<T> x, vec<T> y) {
    return map<T>([](auto p, auto q, auto s, auto t) { return p < q ? s : t; }, a, b, x, y);
}

template <class T> SIMD_INLINE vec<T> canonical_nans(vec<T> v) {
    return select_equal(v, v, v, broadcast(T(NAN)));
}

template <class T> SIMD_INLINE vec<T> keep_first(vec<T> v, std::ptrdiff_t k) {
    static const T numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return select_less(load(numbers), broadcast(static_cast<T>(k)), v, broadcast(T(0)));
}

template <class T, int s> SIMD_INLINE vec<T> shift_bits(vec<T> v) {
    return map_bits<T>([](auto x) { return x << s; }, v);
}

template <class T> SIMD_INLINE vec<T> add_bits(vec<T> a, vec<T> b) {
    return map_bits<T>([](auto x, auto y) { return x + y; }, a, b);
}

template <class T> SIMD_INLINE vec<T> sub_bits(vec<T> a, vec<T> b) {
    return map_bits<T>([](auto x, auto y) { return x - y; }, a, b);
}

template <class T> SIMD_INLINE vec<T> lookup(const T* table, vec<T> v) {
    return map<T>([=](part<T> x) {
        const auto entry = same_bits<part_bits<T>>(x) % 16;
        return part_of<T>::of([=](std::ptrdiff_t j) { return table[part_of<T>::lane(entry, j)]; });
    }, v);
}

// The biased exponent becomes the low bits of 2^52 + exponent, a double like any other.
SIMD_INLINE vecd exponent(vecd v) {
    constexpr std::uint64_t bits_of_2_52 = 0x4330000000000000;
    return map_bits<double>([=](auto x) { return x >> 52 | bits_of_2_52; }, v) - broadcast(0x1p52 + 1023);
}
SIMD_INLINE vecd mantissa(vecd v) {
    constexpr std::uint64_t fraction = 0x000fffffffffffff, bits_of_1 = 0x3ff0000000000000;
    return map_bits<double>([=](auto x) { return (x & fraction) | bits_of_1; }, v);
}

// By halves: first whole parts, then the lanes of the last.
template <class T, class F> SIMD_INLINE T reduce(vec<T> v, F f) {
    for (std::ptrdiff_t half = parts<T> / 2; half > 0; half /= 2)
        for (std::ptrdiff_t i = 0; i < half; ++i) v.p[i] = f(v.p[i], v.p[i + half]);
    T lane[width<T>];
    std::memcpy(lane, v.p, sizeof lane);
    for (std::ptrdiff_t half = width<T> / 2; half > 0; half /= 2)
        for (std::ptrdiff_t i = 0; i < half; ++i) lane[i] = f(lane[i], lane[i + half]);
    return lane[0];
}

template <class T> SIMD_INLINE T reduce_add(vec<T> v) {
    return reduce(v, [](auto x, auto y) { return x + y; });
}

template <class T> SIMD_INLINE bool any_at_least(vec<T> v, T x) {
    T numbers[lanes<T>];
    store(numbers, v);
    bool any = false;
    for (T number : numbers) any |= number >= x;
    return any;
}

template <class T> SIMD_INLINE T reduce_max(vec<T> v) {
    return reduce(v, [](auto x, auto y) { return x > y ? x : y; });
}

template <class To, class From> SIMD_INLINE void convert(To* to, const From* from) {
    for (int i = 0; i < 8; ++i) to[i] = static_cast<To>(from[i]);
}

SIMD_INLINE vecd widen_low(vecf v) {
    float from[16];
    double to[8];
    store(from, v);
    convert(to, from);
    return load(to);
}
SIMD_INLINE vecd widen_high(vecf v) {
    float from[16];
    double to[8];
    store(from, v);
    convert(to, from + 8);
    return load(to);
}
SIMD_INLINE vecf narrow(vecd low, vecd high) {
    double from[16];
    float to[16];
    store(from, low);
    store(from + 8, high);
    convert(to, from);
    convert(to + 8, from + 8);
    return load(to);
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

template <class T>
SIMD_INLINE void load_columns(const T* p, std::ptrdiff_t stride, std::ptrdiff_t count, vec<T>* columns) {
    T column[lanes<T>];
    for (std::ptrdiff_t j = 0; j < count; ++j) {
        for (std::ptrdiff_t i = 0; i < lanes<T>; ++i) column[i] = p[i * stride + j];
        columns[j] = load(static_cast<const T*>(column));
    }
}

template <class T>
SIMD_INLINE void store_columns(T* p, std::ptrdiff_t stride, std::ptrdiff_t count, const vec<T>* columns) {
    T column[lanes<T>];
    for (std::ptrdiff_t j = 0; j < count; ++j) {
        store(static_cast<T*>(column), columns[j]);
        for (std::ptrdiff_t i = 0; i < lanes<T>; ++i) p[i * stride + j] = column[i];
    }
}

// Halves are converted one by one, by masks instead of branches: so gcc vectorises the loop over them (0.5 and 0.8 ns an
// element, against 1.2 and 1.3 on a Zen 4). A subnormal half is a multiple of 2^-24, and so is 2^-14 with the half's bits for a fraction; a
// sum of a number below 2^-14 and 1/2 is rounded to such a multiple.
SIMD_INLINE std::int32_t choose(bool condition, std::int32_t a, std::int32_t b) {
    const std::int32_t mask = -static_cast<std::int32_t>(condition);
    return (a & mask) | (b & ~mask);
}
SIMD_INLINE std::int32_t bits_of_half(std::int32_t h) {
    const std::int32_t magnitude = (h & 0x7fff) << 13;
    const std::int32_t normal = magnitude + 0x38000000;
    const std::int32_t subnormal = same_bits<std::int32_t>(same_bits<float>(magnitude + 0x38800000) - 0x1p-14f);
    const std::int32_t special = magnitude | choose(magnitude > 0x0f800000, 0x7fc00000, 0x7f800000);
    const std::int32_t finite = choose(magnitude < 0x00800000, subnormal, normal);
    const std::int32_t sign = -(h & 0x8000) & static_cast<std::int32_t>(0x80000000);
    return choose(magnitude < 0x0f800000, finite, special) | sign;
}
SIMD_INLINE std::int32_t half_of_bits(std::int32_t b) {
    const std::int32_t magnitude = b & 0x7fffffff;
    const std::int32_t normal = (magnitude - 0x38000000 + 0x0fff + (magnitude >> 13 & 1)) >> 13;
    const std::int32_t subnormal = same_bits<std::int32_t>(same_bits<float>(magnitude) + 0.5f) - 0x3f000000;
    const std::int32_t special = choose(magnitude > 0x7f800000, (magnitude >> 13 & 0x03ff) | 0x7e00, 0x7c00);
    const std::int32_t finite = choose(magnitude < 0x38800000, subnormal, normal);
    return choose(magnitude < 0x47800000, finite, special) | (b >> 16 & 0x8000);
}
SIMD_INLINE std::int32_t bfloat16_of_bits(std::int32_t b) {
    const std::int32_t magnitude = b & 0x7fffffff;
    const std::int32_t rounded = static_cast<std::int32_t>(static_cast<std::uint32_t>(magnitude) + 0x7fff + (b >> 16 & 1)) >> 16;
    return choose(magnitude > 0x7f800000, magnitude >> 16 | 0x0040, rounded) | (b >> 16 & 0x8000);
}

template <class F> SIMD_INLINE vecf load_sixteen_bits(const std::uint16_t* p, F bits) {
    std::int32_t words[16];
    for (int i = 0; i < 16; ++i) words[i] = bits(p[i]);
    vecf v;
    std::memcpy(&v, words, sizeof v);
    return v;
}
template <class F> SIMD_INLINE void store_sixteen_bits(std::uint16_t* p, vecf v, F bits) {
    std::int32_t words[16];
    std::memcpy(words, &v, sizeof v);
    for (int i = 0; i < 16; ++i) p[i] = static_cast<std::uint16_t>(bits(words[i]));
}
SIMD_INLINE vecf load_half(const std::uint16_t* p) {
    return load_sixteen_bits(p, [](std::int32_t h) { return bits_of_half(h); });
}
SIMD_INLINE void store_half(std::uint16_t* p, vecf v) {
    store_sixteen_bits(p, v, [](std::int32_t b) { return half_of_bits(b); });
}
SIMD_INLINE vecf load_bfloat16(const std::uint16_t* p) {
    return load_sixteen_bits(p, [](std::int32_t h) { return static_cast<std::int32_t>(static_cast<std::uint32_t>(h) << 16); });
}
SIMD_INLINE void store_bfloat16(std::uint16_t* p, vecf v) {
    store_sixteen_bits(p, v, [](std::int32_t b) { return bfloat16_of_bits(b); });
}

}  // namespace
}  // namespace simd
