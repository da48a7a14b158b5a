// The constants of the exponential and the logarithm. Derived, with the reasons, by tools/make_constants.py.
#pragma once

namespace constants {
namespace {

template <class T> struct exponential;

// Relative error of the polynomial: 2.32e-9, which is 0.0389 units of 2^-24.
template <> struct exponential<float> {
    static constexpr float steps_per_unit() { return 0x1.715476p+4f; }  // 16 / ln 2
    static constexpr float magic() { return 0x1.8p+23f; }  // adding it rounds to an integer: 1.5 * 2^23
    static constexpr float step_high() { return 0x1.62e43p-5f; }  // high + low = (ln 2) / 16
    static constexpr float step_low() { return -0x1.05c61p-33f; }
    static constexpr float step_first() { return 0x1.63p-5f; }  // first + second + third = (ln 2) / 16
    static constexpr float step_second() { return -0x1.bdp-17f; }
    static constexpr float step_third() { return -0x1.05c61p-33f; }
    // The coefficients of t^2, t^3, ...
    static constexpr float coefficient(int power) {
        constexpr float values[2] = {
            0x1.00029p-1f,
            0x1.555762p-3f,
        };
        return values[power - 2];
    }
    static constexpr double table_factor() { return 0x1.02946e17628f2p+0; }
    // high + low = 1 / table_factor
    static constexpr double inverse_factor_high() { return 0x1.fae45161c7482p-1; }
    static constexpr double inverse_factor_low() { return -0x1.56fff45e49961p-55; }
    // table_factor * 2^(j/16), its exponent field lowered by j/16
    static const float* table() {
        alignas(64) static constexpr float values[16] = {
            0x1.02946ep+0f,
            0x1.fe0732p-1f,
            0x1.f9fbb8p-1f,
            0x1.f677bep-1f,
            0x1.f38144p-1f,
            0x1.f11e8ep-1f,
            0x1.ef5626p-1f,
            0x1.ee2ee2p-1f,
            0x1.edafe4p-1f,
            0x1.ede09ep-1f,
            0x1.eec8dap-1f,
            0x1.f070b6p-1f,
            0x1.f2e0aep-1f,
            0x1.f621ap-1f,
            0x1.fa3ccap-1f,
            0x1.ff3bd6p-1f,
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
    static constexpr double table_factor() { return 0x1.00df28f9e6ee5p+0; }
    // high + low = 1 / table_factor
    static constexpr double inverse_factor_high() { return 0x1.fe4331cb04b86p-1; }
    static constexpr double inverse_factor_low() { return -0x1.1d74e1b5405fdp-55; }
    // table_factor * 2^(j/16), its exponent field lowered by j/16
    static const double* table() {
        alignas(64) static constexpr double values[16] = {
            0x1.00df28f9e6ee5p+0,
            0x1.fc3e911a5bcf2p-1,
            0x1.f81edf5ef1e9bp-1,
            0x1.f485c8bb81a85p-1,
            0x1.f17942d274112p-1,
            0x1.eeff86d1df029p-1,
            0x1.ed1f14711692fp-1,
            0x1.ebdeb51023739p-1,
            0x1.eb457efa9e816p-1,
            0x1.eb5ad8cf82af6p-1,
            0x1.ec267d0f983ap-1,
            0x1.edb07dd42e9e8p-1,
            0x1.f00148afee30ap-1,
            0x1.f321aabb9e621p-1,
            0x1.f71ad4d0d2ee9p-1,
            0x1.fbf65ff4882efp-1,
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
