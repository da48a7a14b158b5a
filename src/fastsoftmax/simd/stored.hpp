// Where numbers lie that are computed with as T: as T itself, or for float in one of the formats of 16 bits.
//
// (a) A kernel reads and writes them by the same words as those of a pointer, so no loop is written twice for a format.
// (b) The format is a value, but known where a loop begins (`stored_as`), and the compiler carries it through what it
//     inlines: a load is then as many instructions as the format needs, without a question.
#pragma once

#include "always_inline.hpp"
#include "simd.hpp"

namespace simd {
namespace {

enum Storage : int { AS_COMPUTED, FLOAT16, BFLOAT16, DIFFERENT };

template <class T> struct stored {
    char* at;
    Storage storage;
    SIMD_INLINE stored operator+(std::ptrdiff_t i) const {
        const bool whole = sizeof(T) != sizeof(float) || storage == AS_COMPUTED;
        return {at + i * static_cast<std::ptrdiff_t>(whole ? sizeof(T) : 2), storage};
    }
};

template <class T> SIMD_INLINE stored<T> native(const T* p) {
    return {reinterpret_cast<char*>(const_cast<T*>(p)), AS_COMPUTED};
}

// The same numbers, in a format that is known to be theirs.
template <class T> SIMD_INLINE stored<T> stored_as(Storage storage, stored<T> p) { return {p.at, storage}; }

// The format of all three, or DIFFERENT.
template <class T> SIMD_INLINE Storage common_storage(stored<T> a, stored<T> b, stored<T> c) {
    if constexpr (sizeof(T) != sizeof(float)) {
        return AS_COMPUTED;
    } else {
        return a.storage == b.storage && b.storage == c.storage ? a.storage : DIFFERENT;
    }
}

SIMD_INLINE std::uint16_t* bits_16(stored<float> p) { return reinterpret_cast<std::uint16_t*>(p.at); }

template <class T> SIMD_INLINE vec<T> load(stored<T> p) {
    if constexpr (sizeof(T) == sizeof(float)) {
        if (p.storage == FLOAT16) return load_half(bits_16(p));
        if (p.storage == BFLOAT16) return load_bfloat16(bits_16(p));
    }
    return load(reinterpret_cast<const T*>(p.at));
}

template <class T> SIMD_INLINE void store(stored<T> p, vec<T> v) {
    if constexpr (sizeof(T) == sizeof(float)) {
        if (p.storage == FLOAT16) return store_half(bits_16(p), v);
        if (p.storage == BFLOAT16) return store_bfloat16(bits_16(p), v);
    }
    store(reinterpret_cast<T*>(p.at), v);
}

template <class T> SIMD_INLINE vec<T> load_partial(stored<T> p, std::ptrdiff_t k, T fill) {
    if constexpr (sizeof(T) == sizeof(float)) {
        if (p.storage != AS_COMPUTED) {
            if (k >= 16) return load(p);
            std::uint16_t some[16];
            float wide[16];
            take_first(some, bits_16(p), k);
            const vec<T> v = load(stored<T>{reinterpret_cast<char*>(some), p.storage});
            if (fill == 0) return keep_first(v, k);
            store(wide, v);
            return load_partial(static_cast<const T*>(wide), k, fill);
        }
    }
    return load_partial(reinterpret_cast<const T*>(p.at), k, fill);
}

template <class T> SIMD_INLINE void store_partial(stored<T> p, vec<T> v, std::ptrdiff_t k) {
    if constexpr (sizeof(T) == sizeof(float)) {
        if (p.storage != AS_COMPUTED) {
            if (k >= 16) return store(p, v);
            std::uint16_t some[16];
            store(stored<T>{reinterpret_cast<char*>(some), p.storage}, v);
            return put_first(bits_16(p), some, k);
        }
    }
    store_partial(reinterpret_cast<T*>(p.at), v, k);
}

// One vector of p[:n] at i, with `beyond` after n.
template <class T> SIMD_INLINE void load_at(stored<T> p, std::ptrdiff_t i, std::ptrdiff_t n, T beyond, vec<T>* values) {
    constexpr std::ptrdiff_t width = 64 / sizeof(T);
    if (i + width <= n) {
        *values = load(p + i);
    } else if (i < n) {
        *values = load_partial(p + i, n - i, beyond);
    } else {
        *values = broadcast(beyond);
    }
}

template <class T> SIMD_INLINE void load_at(const T* p, std::ptrdiff_t i, std::ptrdiff_t n, T beyond, vec<T>* values) {
    load_at(native(p), i, n, beyond, values);
}

// Single numbers.
template <class T> SIMD_INLINE T number_at(stored<T> p) {
    if constexpr (sizeof(T) == sizeof(float)) {
        if (p.storage != AS_COMPUTED) {
            float wide[16];
            store(wide, load_partial(p, 1, T(0)));
            return wide[0];
        }
    }
    return *reinterpret_cast<const T*>(p.at);
}

template <class T> SIMD_INLINE void set_number(stored<T> p, T x) {
    if (p.storage == AS_COMPUTED) {
        *reinterpret_cast<T*>(p.at) = x;
    } else {
        store_partial(p, broadcast(x), 1);
    }
}

// x[:n] itself, or in the buffer.
template <class T> SIMD_INLINE const T* as_computed(stored<T> x, std::ptrdiff_t n, T* buffer) {
    if (x.storage == AS_COMPUTED) return reinterpret_cast<const T*>(x.at);
    constexpr std::ptrdiff_t width = 64 / sizeof(T);
    std::ptrdiff_t i = 0;
    for (; i + width <= n; i += width) store(buffer + i, load(x + i));
    if (i < n) store_partial(buffer + i, load_partial(x + i, n - i, T(0)), n - i);
    return buffer;
}

// Where to write results of y[:n]: there itself, or to the buffer. `put` brings them from the buffer to y.
template <class T> SIMD_INLINE T* room_for(stored<T> y, T* buffer) {
    return y.storage == AS_COMPUTED ? reinterpret_cast<T*>(y.at) : buffer;
}

template <class T> SIMD_INLINE void put(const T* results, stored<T> y, std::ptrdiff_t n) {
    if (reinterpret_cast<const char*>(results) == y.at) return;
    constexpr std::ptrdiff_t width = 64 / sizeof(T);
    std::ptrdiff_t i = 0;
    for (; i + width <= n; i += width) store(y + i, load(results + i));
    if (i < n) store_partial(y + i, load_partial(results + i, n - i, T(0)), n - i);
}

}  // namespace
}  // namespace simd
