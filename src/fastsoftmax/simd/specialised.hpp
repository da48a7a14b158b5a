// A call of a function that compilers make anew for each kind of what it computes and each format it reads and writes.
//
// (a) The function has kind and format as its first arguments and asks for them within its loops. Here they are constants, in
//     the branches of a switch: compilers then leave the questions out, and inline or clone the function for each.
// (b) The format is an argument of its own, for it is not seen through a structure that is passed by value.
#pragma once

#include "stored.hpp"

namespace simd {
namespace {

template <class Function, class Kind, class... Rest>
SIMD_INLINE auto for_format(Function function, Kind kind, Storage storage, Rest... rest) {
    switch (storage) {
        case FLOAT16: return function(kind, FLOAT16, rest...);
        case BFLOAT16: return function(kind, BFLOAT16, rest...);
        default: return function(kind, AS_COMPUTED, rest...);
    }
}

// The kinds are 0, 1 and 2; the format is not DIFFERENT.
template <class Function, class Kind, class... Rest>
SIMD_INLINE auto specialised(Function function, Kind kind, Storage storage, Rest... rest) {
    switch (static_cast<int>(kind)) {
        case 0: return for_format(function, static_cast<Kind>(0), storage, rest...);
        case 1: return for_format(function, static_cast<Kind>(1), storage, rest...);
        default: return for_format(function, static_cast<Kind>(2), storage, rest...);
    }
}

}  // namespace
}  // namespace simd
