// The constants of the exponential and the logarithm. Derived, with the reasons, by tools/make_constants.py.
#pragma once

namespace constants {
namespace {

template <class T> struct exponential;

// Relative error of the polynomial: 2.58e-8, which is 0.432 units of 2^-24.
template <> struct exponential<float> {
    static constexpr float steps_per_unit() { return 0x1.715476p+3f; }  // 8 / ln 2
    static constexpr float magic() { return 0x1.8p+23f; }  // adding it rounds to an integer: 1.5 * 2^23
    static constexpr float step_high() { return 0x1.62e43p-4f; }  // high + low = (ln 2) / 8
    static constexpr float step_low() { return -0x1.05c61p-32f; }
    static constexpr float step_first() { return 0x1.62ep-4f; }  // first + second + third = (ln 2) / 8
    static constexpr float step_second() { return 0x1.0cp-18f; }
    static constexpr float step_third() { return -0x1.05c61p-32f; }
    // The coefficients of t^2, t^3, ...
    static constexpr float coefficient(int power) {
        constexpr float values[2] = {
            0x1.000874p-1f,
            0x1.555656p-3f,
        };
        return values[power - 2];
    }
    // 2^(j/8), its exponent field lowered by j/8
    static const float* table() {
        alignas(64) static constexpr float values[8] = {
            0x1.0p+0f,
            0x1.f72b84p-1f,
            0x1.f06fep-1f,
            0x1.ebfdaep-1f,
            0x1.ea09e6p-1f,
            0x1.eace54p-1f,
            0x1.ee89fap-1f,
            0x1.f5818ep-1f,
        };
        return values;
    }
    // What rounding took from the logarithm of each entry
    static const float* corrections() {
        alignas(64) static constexpr float values[8] = {
            0x0.0p+0f,
            -0x1.9c0c22p-27f,
            0x1.125002p-25f,
            -0x1.0a3552p-25f,
            0x1.26055cp-26f,
            0x1.67a1cap-28f,
            -0x1.f9c306p-27f,
            -0x1.a5217cp-28f,
        };
        return values;
    }
};

// Relative error of the polynomial: 1.59e-17, which is 0.144 units of 2^-53.
template <> struct exponential<double> {
    static constexpr double steps_per_unit() { return 0x1.71547652b82fep+4; }  // 16 / ln 2
    static constexpr double magic() { return 0x1.8p+52; }  // adding it rounds to an integer: 1.5 * 2^52
    static constexpr double step_high() { return 0x1.62e42fefa39efp-5; }  // high + low = (ln 2) / 16
    static constexpr double step_low() { return 0x1.abc9e3b39803fp-60; }
    static constexpr double step_first() { return 0x1.62e42fefap-5; }  // first + second + third = (ln 2) / 16
    static constexpr double step_second() { return 0x1.cf79abc9ep-44; }
    static constexpr double step_third() { return 0x1.d9cc01f97b57ap-83; }
    // The coefficients of t^2, t^3, ...
    static constexpr double coefficient(int power) {
        constexpr double values[5] = {
            0x1.fffffffffffe1p-2,
            0x1.555555549b67fp-3,
            0x1.55555556edf06p-5,
            0x1.111236415f936p-7,
            0x1.6c16499cd2226p-10,
        };
        return values[power - 2];
    }
    // 2^(j/16), its exponent field lowered by j/16
    static const double* table() {
        alignas(64) static constexpr double values[16] = {
            0x1.0p+0,
            0x1.fb5586cf9890fp-1,
            0x1.f72b83c7d517bp-1,
            0x1.f387a6e756238p-1,
            0x1.f06fe0a31b715p-1,
            0x1.edea64c123422p-1,
            0x1.ebfdad5362a27p-1,
            0x1.eab07dd485429p-1,
            0x1.ea09e667f3bcdp-1,
            0x1.ea11473eb0187p-1,
            0x1.eace5422aa0dbp-1,
            0x1.ec49182a3f09p-1,
            0x1.ee89f995ad3adp-1,
            0x1.f199bdd85529cp-1,
            0x1.f5818dcfba487p-1,
            0x1.fa4afa2a490dap-1,
        };
        return values;
    }
    // What rounding took from the logarithm of each entry
    static const double* corrections() {
        alignas(64) static constexpr double values[16] = {
            0x0.0p+0,
            0x1.79aa65d837b6cp-54,
            -0x1.01b15eaa59348p-55,
            0x1.68efde3a8a894p-54,
            0x1.34d754db0abb6p-55,
            0x1.59f48a72a4c6dp-55,
            0x1.690cebb7aafbp-56,
            0x1.063e1e21c5409p-54,
            -0x1.3b3efbf5e2229p-54,
            -0x1.b32dcb94da51dp-56,
            0x1.db72fc1f0eab4p-55,
            0x1.1affc2b91ce27p-56,
            0x1.c1a7792cb3387p-55,
            0x1.36eae30af0cb3p-56,
            0x1.4a385a63d07a7p-56,
            -0x1.ff7128fd391f1p-55,
        };
        return values;
    }
};

// Relative error of the polynomial: 1.81e-18.
struct logarithm {
    static constexpr double ln2_high() { return 0x1.62e42fefa38p-1; }  // high + low = ln 2
    static constexpr double ln2_low() { return 0x1.ef35793c7673p-45; }
    static constexpr double sqrt2() { return 0x1.6a09e667f3bcdp+0; }
    // The coefficients of z, z^2, ...
    static constexpr double coefficient(int power) {
        constexpr double values[7] = {
            0x1.5555555555592p-1,
            0x1.999999997fdbap-2,
            0x1.24924941f108ap-2,
            0x1.c71c52096bd2bp-3,
            0x1.74663ee69c052p-3,
            0x1.39a1bacfc5c2dp-3,
            0x1.2f056339eee5ep-3,
        };
        return values[power - 1];
    }
};

}  // namespace
}  // namespace constants
