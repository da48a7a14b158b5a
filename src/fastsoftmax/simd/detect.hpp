// Which compiled targets the CPU and the operating system can run.
//
// (a) A CPU that has AVX does not suffice: the system must save the wide registers, too, which XGETBV tells.
// (b) Asking is one thing and deciding another, which so can be tested for machines that are not at hand.
// (c) This file is compiled with the baseline's flags only. It must run on any machine of the family.
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

// What CPUID tells of the features that count here, and XGETBV of the registers that the system saves.
struct answers {
    unsigned features;       // leaf 1, ecx
    unsigned more_features;  // leaf 7, ebx
    unsigned extensions;     // leaf 0x80000001, ecx
    unsigned saved;
};

constexpr unsigned OSXSAVE = 1u << 27;  // without it XGETBV is no instruction

inline answers ask() {
    answers a{0, 0, 0, 0};
    if (cpuid(0, 0).eax < 7 || cpuid(0x80000000u, 0).eax < 0x80000001u) return a;
    a.features = cpuid(1, 0).ecx;
    a.more_features = cpuid(7, 0).ebx;
    a.extensions = cpuid(0x80000001u, 0).ecx;
    if (all(a.features, OSXSAVE)) a.saved = saved_registers();
    return a;
}

// The features of x86-64-v3 and -v4, as the System V ABI lists them: Intel SDM volume 2, CPUID.
inline bool allows_avx2(const answers& a) {
    // ssse3 9, fma 12, cmpxchg16b 13, sse4.1 19, sse4.2 20, movbe 22, popcnt 23, xsave 26, avx 28, f16c 29
    const unsigned features = 1u << 9 | 1u << 12 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 22 | 1u << 23 | 1u << 26 |
                              OSXSAVE | 1u << 28 | 1u << 29;
    return all(a.features, features) && all(a.more_features, 1u << 3 | 1u << 5 | 1u << 8) &&  // bmi1, avx2, bmi2
           all(a.extensions, 1u << 0 | 1u << 5) &&                                            // lahf, lzcnt
           all(a.saved, 0x6);                                                                 // xmm and ymm
}

inline bool allows_avx512(const answers& a) {
    return allows_avx2(a) && all(a.saved, 0xe6) &&                                           // opmask and zmm, too
           all(a.more_features, 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31);       // f, dq, cd, bw, vl
}

inline bool has_avx2() { return allows_avx2(ask()); }
inline bool has_avx512() { return allows_avx512(ask()); }
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
