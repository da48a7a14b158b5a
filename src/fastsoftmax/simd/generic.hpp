// Any machine, in portable C++: a vector is an array, and every function a loop the compiler may vectorise.
#pragma once

namespace simd {
namespace {

template <class T> struct vec { T lane[64 / sizeof(T)]; };
using vecf = vec<float>;
using vecd = vec<double>;

constexpr bool has_fma = false;

template <class T> constexpr std::ptrdiff_t lanes = 64 / sizeof(T);
template <class T> struct integer;
template <> struct integer<float> { using type = std::uint32_t; };
template <> struct integer<double> { using type = std::uint64_t; };
template <class T> using bits_of = typename integer<T>::type;

// Lane by lane: out[i] = f(a[i], b[i], ...).
template <class T, class F, class... V> inline vec<T> map(F f, V... v) {
    vec<T> out;
    for (std::ptrdiff_t i = 0; i < lanes<T>; ++i) out.lane[i] = f(v.lane[i]...);
    return out;
}

template <class T> inline bits_of<T> bits(T x) {
    bits_of<T> b;
    std::memcpy(&b, &x, sizeof b);
    return b;
}
template <class T> inline T from_bits(bits_of<T> b) {
    T x;
    std::memcpy(&x, &b, sizeof x);
    return x;
}

template <class T> inline vec<T> load(const T* p) {
    vec<T> v;
    std::memcpy(v.lane, p, sizeof v.lane);
    return v;
}
template <class T> inline void store(T* p, vec<T> v) { std::memcpy(p, v.lane, sizeof v.lane); }

template <class T> inline vec<T> load_partial(const T* p, std::ptrdiff_t k, T fill) {
    vec<T> v;
    for (std::ptrdiff_t i = 0; i < lanes<T>; ++i) v.lane[i] = i < k ? p[i] : fill;
    return v;
}
template <class T> inline void store_partial(T* p, vec<T> v, std::ptrdiff_t k) {
    for (std::ptrdiff_t i = 0; i < k; ++i) p[i] = v.lane[i];
}

template <class T> inline void stream(T* p, vec<T> v) { store(p, v); }
inline void stream_fence() {}

template <class T> inline vec<T> broadcast(T x) {
    vec<T> v;
    for (std::ptrdiff_t i = 0; i < lanes<T>; ++i) v.lane[i] = x;
    return v;
}

template <class T> inline vec<T> operator+(vec<T> a, vec<T> b) {
    return map<T>([](T x, T y) { return x + y; }, a, b);
}
template <class T> inline vec<T> operator-(vec<T> a, vec<T> b) {
    return map<T>([](T x, T y) { return x - y; }, a, b);
}
template <class T> inline vec<T> operator*(vec<T> a, vec<T> b) {
    return map<T>([](T x, T y) { return x * y; }, a, b);
}
template <class T> inline vec<T> operator/(vec<T> a, vec<T> b) {
    return map<T>([](T x, T y) { return x / y; }, a, b);
}

template <class T> inline vec<T> fma(vec<T> a, vec<T> b, vec<T> c) { return a * b + c; }

template <class T> inline vec<T> maximum(vec<T> a, vec<T> b) {
    return map<T>([](T x, T y) { return x > y ? x : y; }, a, b);
}

template <class T> inline vec<T> select_equal(vec<T> a, vec<T> b, vec<T> x, vec<T> y) {
    return map<T>([](T p, T q, T s, T t) { return p == q ? s : t; }, a, b, x, y);
}

template <class T> inline vec<T> select_less(vec<T> a, vec<T> b, vec<T> x, vec<T> y) {
    return map<T>([](T p, T q, T s, T t) { return p < q ? s : t; }, a, b, x, y);
}

template <class T> inline vec<T> keep_first(vec<T> v, std::ptrdiff_t k) {
    for (std::ptrdiff_t i = 0; i < lanes<T>; ++i) v.lane[i] = i < k ? v.lane[i] : T(0);
    return v;
}

template <class T, int s> inline vec<T> shift_bits(vec<T> v) {
    return map<T>([](T x) { return from_bits<T>(bits(x) << s); }, v);
}

template <class T> inline vec<T> add_bits(vec<T> a, vec<T> b) {
    return map<T>([](T x, T y) { return from_bits<T>(bits(x) + bits(y)); }, a, b);
}

template <class T> inline vec<T> sub_bits(vec<T> a, vec<T> b) {
    return map<T>([](T x, T y) { return from_bits<T>(bits(x) - bits(y)); }, a, b);
}

template <class T> inline vec<T> lookup(const T* table, vec<T> v) {
    constexpr bits_of<T> entries = sizeof(T) == 4 ? 8 : 16;
    return map<T>([=](T x) { return table[bits(x) % entries]; }, v);
}

// The biased exponent becomes the low bits of 2^52 + exponent, a double like any other.
inline vecd exponent(vecd v) {
    return map<double>(
        [](double x) { return from_bits<double>(bits(x) >> 52 | bits(0x1p52)) - (0x1p52 + 1023); }, v);
}
inline vecd mantissa(vecd v) {
    return map<double>([](double x) { return from_bits<double>((bits(x) & 0x000fffffffffffff) | bits(1.0)); }, v);
}

template <class T> inline T reduce_add(vec<T> v) {
    for (std::ptrdiff_t half = lanes<T> / 2; half > 0; half /= 2)
        for (std::ptrdiff_t i = 0; i < half; ++i) v.lane[i] = v.lane[i] + v.lane[i + half];
    return v.lane[0];
}

template <class T> inline T reduce_max(vec<T> v) {
    for (std::ptrdiff_t half = lanes<T> / 2; half > 0; half /= 2)
        for (std::ptrdiff_t i = 0; i < half; ++i) v.lane[i] = v.lane[i] > v.lane[i + half] ? v.lane[i] : v.lane[i + half];
    return v.lane[0];
}

inline vecd widen_low(vecf v) {
    vecd out;
    for (int i = 0; i < 8; ++i) out.lane[i] = v.lane[i];
    return out;
}
inline vecd widen_high(vecf v) {
    vecd out;
    for (int i = 0; i < 8; ++i) out.lane[i] = v.lane[i + 8];
    return out;
}
inline vecf narrow(vecd low, vecd high) {
    vecf out;
    for (int i = 0; i < 8; ++i) out.lane[i] = static_cast<float>(low.lane[i]);
    for (int i = 0; i < 8; ++i) out.lane[i + 8] = static_cast<float>(high.lane[i]);
    return out;
}

}  // namespace
}  // namespace simd
