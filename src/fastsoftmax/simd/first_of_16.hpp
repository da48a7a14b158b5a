// The first k of 16 numbers of 16 bits, where no instruction takes a part of a vector: pieces of fixed length that may overlap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "always_inline.hpp"

namespace simd {
namespace {

SIMD_INLINE void put_first(std::uint16_t* to, const std::uint16_t* from, std::ptrdiff_t k) {
    if (k >= 8) {
        std::memcpy(to, from, 16);
        std::memcpy(to + k - 8, from + k - 8, 16);
    } else if (k >= 4) {
        std::memcpy(to, from, 8);
        std::memcpy(to + k - 4, from + k - 4, 8);
    } else if (k >= 2) {
        std::memcpy(to, from, 4);
        std::memcpy(to + k - 2, from + k - 2, 4);
    } else if (k == 1) {
        *to = *from;
    }
}

SIMD_INLINE void take_first(std::uint16_t* to, const std::uint16_t* from, std::ptrdiff_t k) {
    std::memset(to, 0, 32);
    put_first(to, from, k);
}

}  // namespace
}  // namespace simd
