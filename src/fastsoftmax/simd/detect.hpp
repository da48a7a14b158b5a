// Which compiled targets the CPU and the operating system can run.
//
// (a) A CPU that has AVX does not suffice: the system must save the wide registers, too, which XGETBV tells.
// (b) This file is compiled with the baseline's flags only. It must run on any machine of the family.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER) && !defined(__clang__)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace detect {
namespace {

#if defined(__x86_64__) || defined(_M_X64)

struct registers {
    unsigned eax, ebx, ecx, edx;
};

inline registers cpuid(unsigned leaf, unsigned subleaf) {
    registers r{0, 0, 0, 0};
#if defined(_MSC_VER) && !defined(__clang__)
    int values[4];
    __cpuidex(values, static_cast<int>(leaf), static_cast<int>(subleaf));
    r = {unsigned(values[0]), unsigned(values[1]), unsigned(values[2]), unsigned(values[3])};
#else
    __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
#endif
    return r;
}

inline unsigned saved_registers() {
#if defined(_MSC_VER) && !defined(__clang__)
    return static_cast<unsigned>(_xgetbv(0));
#else
    unsigned eax, edx;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return eax;
#endif
}

inline bool all(unsigned value, unsigned bits) { return (value & bits) == bits; }

// The features of x86-64-v3 and -v4, as the System V ABI lists them: Intel SDM volume 2, CPUID.
inline bool has_avx2() {
    if (cpuid(0, 0).eax < 7 || cpuid(0x80000000u, 0).eax < 0x80000001u) return false;
    const registers one = cpuid(1, 0);
    // fma 12, cmpxchg16b 13, sse4.1 19, sse4.2 20, movbe 22, popcnt 23, xsave 26, osxsave 27, avx 28, f16c 29
    const unsigned ecx1 = 1u << 9 | 1u << 12 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 22 | 1u << 23 | 1u << 26 | 1u << 27 |
                          1u << 28 | 1u << 29;
    if (!all(one.ecx, ecx1)) return false;
    if (!all(saved_registers(), 0x6)) return false;                               // xmm and ymm state
    if (!all(cpuid(7, 0).ebx, 1u << 3 | 1u << 5 | 1u << 8)) return false;         // bmi1, avx2, bmi2
    return all(cpuid(0x80000001u, 0).ecx, 1u << 0 | 1u << 5);                     // lahf, lzcnt
}

inline bool has_avx512() {
    if (!has_avx2()) return false;
    if (!all(saved_registers(), 0xe6)) return false;                              // opmask and zmm state
    return all(cpuid(7, 0).ebx, 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31);  // f, dq, cd, bw, vl
}

inline bool has_neon() { return false; }

#else

inline bool has_avx2() { return false; }
inline bool has_avx512() { return false; }
#if defined(__aarch64__) || defined(_M_ARM64)
inline bool has_neon() { return true; }  // Advanced SIMD is part of the aarch64 baseline.
#else
inline bool has_neon() { return false; }
#endif

#endif

}  // namespace
}  // namespace detect
