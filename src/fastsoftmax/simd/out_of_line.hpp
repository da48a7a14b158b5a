// A call that is rarely needed is kept out of line, and out of the caller's registers and stack frame, with all it leads to.
#pragma once

#if defined(_MSC_VER)
#define SIMD_OUT_OF_LINE __declspec(noinline)
#else
#define SIMD_OUT_OF_LINE __attribute__((noinline, cold))
#endif

namespace simd {
namespace {

template <class Function, class... Arguments>
SIMD_OUT_OF_LINE auto out_of_line(Function function, Arguments... arguments) {
    return function(arguments...);
}

}  // namespace
}  // namespace simd
