// What the detection decides for answers of other processors and systems.
//
// Each feature taken away alone, and each kind of register the system does not save, has to take the target away.
#include "detect.hpp"

#include <cstdio>

static int checks = 0, failures = 0;

static void check(bool actual, bool expected, const char* what, unsigned bit) {
    ++checks;
    if (actual == expected) return;
    ++failures;
    std::printf("%s, bit %u: %d\n", what, bit, actual);
}

int main() {
    using namespace detect;
    // As Linux prints them of processors of these families: ecx of 1, ebx of 7, ecx of 0x80000001, XCR0.
    const answers nehalem = {0x0098e3fd, 0, 0x00000001, 0};
    const answers sandy_bridge = {0x1fbae3ff, 0, 0x00000001, 0x7};
    const answers haswell = {0x7ffafbff, 0x000027ab, 0x00000021, 0x7};
    const answers skylake_x = {0x7ffefbff, 0xd39ffffb, 0x00000121, 0xe7};
    check(allows_avx2(nehalem), false, "Nehalem", 0);
    check(allows_avx2(sandy_bridge), false, "Sandy Bridge", 0);
    check(allows_avx2(haswell), true, "Haswell", 0);
    check(allows_avx512(haswell), false, "Haswell, AVX-512", 0);
    check(allows_avx2(skylake_x) && allows_avx512(skylake_x), true, "Skylake-X", 0);

    const unsigned v3_features[] = {9, 12, 13, 19, 20, 22, 23, 26, 27, 28, 29};
    const unsigned v3_more[] = {3, 5, 8};
    const unsigned v3_extensions[] = {0, 5};
    const unsigned v4_more[] = {16, 17, 28, 30, 31};
    const unsigned v3_saved[] = {1, 2};
    const unsigned v4_saved[] = {5, 6, 7};
    answers a = skylake_x;
    auto without = [&](unsigned& word, unsigned bit, bool avx2, const char* what) {
        const unsigned before = word;
        word &= ~(1u << bit);
        check(allows_avx2(a), avx2, what, bit);
        check(allows_avx512(a), false, what, bit);
        word = before;
    };
    for (unsigned bit : v3_features) without(a.features, bit, false, "leaf 1");
    for (unsigned bit : v3_more) without(a.more_features, bit, false, "leaf 7");
    for (unsigned bit : v4_more) without(a.more_features, bit, true, "leaf 7, AVX-512");
    for (unsigned bit : v3_extensions) without(a.extensions, bit, false, "leaf 0x80000001");
    for (unsigned bit : v3_saved) without(a.saved, bit, false, "registers saved");
    for (unsigned bit : v4_saved) without(a.saved, bit, true, "AVX-512 registers saved");

    const answers here = ask();
    check(here.saved == 0 || all(here.features, OSXSAVE), true, "this machine", 27);
    std::printf("%d %d\n%d checks, %d failures\n", has_avx2(), has_avx512(), checks, failures);
    return failures != 0;
}
