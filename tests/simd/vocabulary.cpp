// Every function of the vector vocabulary against a model of one lane at a time.
//
// (a) One source for all targets: the macro that selects the kernels' header selects it here too. What agrees with the
//     model on two targets has the same bits on both.
// (b) Bits are compared, not values. Only the nan that arithmetic makes has different bits on different processors,
//     so any nan agrees with any other there; where a function moves lanes, a nan must arrive untouched.
// (c) Partial loads and stores run against pages that may not be touched, on both sides.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <type_traits>

#include "simd.hpp"

namespace {

template <class T> constexpr int lanes = 64 / sizeof(T);
template <class T> using bits_of = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

template <class To, class From> To reinterpret(From x) {
    static_assert(sizeof(To) == sizeof(From));
    To y;
    std::memcpy(&y, &x, sizeof y);
    return y;
}

enum class Nan { exact, any };
long checks = 0;
long failures = 0;

template <class T> void expect(const char* function, const T* got, const T* want, int count, Nan nan) {
    for (int i = 0; i < count; ++i) {
        const auto g = reinterpret<bits_of<T>>(got[i]), w = reinterpret<bits_of<T>>(want[i]);
        ++checks;
        if (g == w || (nan == Nan::any && got[i] != got[i] && want[i] != want[i])) continue;
        if (++failures <= 20)
            std::printf("%s, %zu-byte lane %d: %016llx, not %016llx\n", function, sizeof(T), i,
                        static_cast<unsigned long long>(g), static_cast<unsigned long long>(w));
    }
}

// One vector's lanes, filled with what breaks careless code: random bits, special values, near-equal numbers.
template <class T> struct Lanes {
    T lane[lanes<T>];

    simd::vec<T> vector() const { return simd::load<T>(lane); }
    T& operator[](int i) { return lane[i]; }
    const T& operator[](int i) const { return lane[i]; }
};

std::uint64_t random_bits() {
    static std::uint64_t state = 0x9e3779b97f4a7c15;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1d;
}

template <class T> T random_lane() {
    using limits = std::numeric_limits<T>;
    const T special[] = {T(0),          T(-0.0),        T(1),
                         T(-1),         limits::max(),  limits::lowest(),
                         limits::min(), -limits::min(), limits::denorm_min(),
                         limits::infinity(), -limits::infinity(), limits::quiet_NaN(), limits::signaling_NaN()};
    const std::uint64_t r = random_bits();
    switch (r % 4) {
        case 0: return special[(r >> 8) % (sizeof special / sizeof special[0])];
        case 1: return reinterpret<T>(static_cast<bits_of<T>>(random_bits()));
        case 2: return T(static_cast<int>(r >> 8 & 7)) - T(4);
        default: return T(static_cast<std::int64_t>(random_bits())) * T(0x1p-60);
    }
}

template <class T> T positive_normal() {
    T x;
    do x = std::fabs(random_lane<T>());
    while (!std::isnormal(x));
    return x;
}

template <class T> T not_nan() {
    T x;
    do x = random_lane<T>();
    while (x != x);
    return x;
}

template <class T> T zero() { return random_bits() >> 63 ? T(0) : T(-0.0); }

template <class T> Lanes<T> random_lanes(T draw()) {
    Lanes<T> v;
    for (T& x : v.lane) x = draw();
    return v;
}

template <class T, class Model>
void expect_lanes(const char* function, simd::vec<T> got, Nan nan, Model model) {
    Lanes<T> stored, want;
    simd::store<T>(stored.lane, got);
    for (int i = 0; i < lanes<T>; ++i) want[i] = model(i);
    expect(function, stored.lane, want.lane, lanes<T>, nan);
}

template <class T> void arithmetic() {
    const auto a = random_lanes<T>(random_lane), b = random_lanes<T>(random_lane), c = random_lanes<T>(random_lane);
    const auto va = a.vector(), vb = b.vector(), vc = c.vector();
    expect_lanes<T>("+", va + vb, Nan::any, [&](int i) { return a[i] + b[i]; });
    expect_lanes<T>("-", va - vb, Nan::any, [&](int i) { return a[i] - b[i]; });
    expect_lanes<T>("*", va * vb, Nan::any, [&](int i) { return a[i] * b[i]; });
    expect_lanes<T>("/", va / vb, Nan::any, [&](int i) { return a[i] / b[i]; });
    expect_lanes<T>("fma", simd::fma<T>(va, vb, vc), Nan::any, [&](int i) -> T {
        if constexpr (simd::has_fma) return std::fma(a[i], b[i], c[i]);
        const volatile T product = a[i] * b[i];
        return product + c[i];
    });
}

template <class T> void choices() {
    const auto a = random_lanes<T>(random_lane), x = random_lanes<T>(random_lane), y = random_lanes<T>(random_lane);
    auto b = random_lanes<T>(random_lane);
    for (int i = 0; i < lanes<T>; i += 3) b[i] = a[i];
    const auto va = a.vector(), vb = b.vector(), vx = x.vector(), vy = y.vector();
    expect_lanes<T>("maximum", simd::maximum<T>(va, vb), Nan::exact, [&](int i) { return a[i] > b[i] ? a[i] : b[i]; });
    expect_lanes<T>("minimum", simd::minimum<T>(va, vb), Nan::exact, [&](int i) { return a[i] < b[i] ? a[i] : b[i]; });
    expect_lanes<T>("select_equal", simd::select_equal<T>(va, vb, vx, vy), Nan::exact,
                    [&](int i) { return a[i] == b[i] ? x[i] : y[i]; });
    expect_lanes<T>("select_less", simd::select_less<T>(va, vb, vx, vy), Nan::exact,
                    [&](int i) { return a[i] < b[i] ? x[i] : y[i]; });
    expect_lanes<T>("canonical_nans", simd::canonical_nans<T>(va), Nan::exact, [&](int i) { return a[i] == a[i] ? a[i] : T(NAN); });
    expect_lanes<T>("broadcast", simd::broadcast<T>(a[0]), Nan::exact, [&](int) { return a[0]; });
}

template <class T> void integer_bits() {
    using U = bits_of<T>;
    const auto a = random_lanes<T>(random_lane), b = random_lanes<T>(random_lane);
    const auto va = a.vector(), vb = b.vector();
    const auto u = [](T x) { return reinterpret<U>(x); };
    const auto f = [](U x) { return reinterpret<T>(x); };
    constexpr int fraction = std::numeric_limits<T>::digits - 1;
    expect_lanes<T>("shift_bits 0", simd::shift_bits<T, 0>(va), Nan::exact, [&](int i) { return a[i]; });
    expect_lanes<T>("shift_bits 1", simd::shift_bits<T, 1>(va), Nan::exact, [&](int i) { return f(u(a[i]) << 1); });
    expect_lanes<T>("shift_bits fraction", simd::shift_bits<T, fraction>(va), Nan::exact,
                    [&](int i) { return f(u(a[i]) << fraction); });
    expect_lanes<T>("shift_bits fraction - 4", simd::shift_bits<T, fraction - 4>(va), Nan::exact,
                    [&](int i) { return f(u(a[i]) << (fraction - 4)); });
    expect_lanes<T>("add_bits", simd::add_bits<T>(va, vb), Nan::exact, [&](int i) { return f(u(a[i]) + u(b[i])); });
    expect_lanes<T>("sub_bits", simd::sub_bits<T>(va, vb), Nan::exact, [&](int i) { return f(u(a[i]) - u(b[i])); });
    const auto integer = static_cast<long long>(random_bits());
    const T low_bits = simd::from_bits(T(0), integer), expected = f(static_cast<U>(integer));
    expect("from_bits", &low_bits, &expected, 1, Nan::exact);

    const auto table = random_lanes<T>(random_lane), more = random_lanes<T>(random_lane);
    T both[2 * lanes<T>];
    std::memcpy(both, table.lane, sizeof table.lane);
    std::memcpy(both + lanes<T>, more.lane, sizeof more.lane);
    expect_lanes<T>("lookup", simd::lookup<T>(both, va), Nan::exact, [&](int i) { return both[u(a[i]) % 16]; });
}

template <class T> void transposition() {
    simd::vec<T> square[lanes<T>];
    T from[lanes<T> * lanes<T>];
    for (int i = 0; i < lanes<T>; ++i) {
        const auto row = random_lanes<T>(random_lane);
        square[i] = row.vector();
        std::memcpy(from + i * lanes<T>, row.lane, sizeof row.lane);
    }
    simd::transpose<T>(square);
    for (int i = 0; i < lanes<T>; ++i) {
        expect_lanes<T>("transpose", square[i], Nan::exact, [&](int j) { return from[j * lanes<T> + i]; });
    }
}

// Blocks of 16 and of 32 bytes of rows that lie further apart; what is between them stays as it is.
template <class T> void columns() {
    constexpr std::ptrdiff_t stride = 32 / sizeof(T) + 3;
    T from[lanes<T> * stride], to[lanes<T> * stride], expected[lanes<T> * stride];
    for (T& x : from) x = random_lane<T>();
    for (std::ptrdiff_t count : {16 / sizeof(T), 32 / sizeof(T)}) {
        simd::vec<T> block[32 / sizeof(T)];
        simd::load_columns<T>(from, stride, count, block);
        for (std::ptrdiff_t j = 0; j < count; ++j) {
            expect_lanes<T>("load_columns", block[j], Nan::exact, [&](int i) { return from[i * stride + j]; });
        }
        std::memset(to, 0x55, sizeof to);
        std::memset(expected, 0x55, sizeof expected);
        for (int i = 0; i < lanes<T>; ++i) std::memcpy(expected + i * stride, from + i * stride, count * sizeof(T));
        simd::store_columns<T>(to, stride, count, block);
        expect("store_columns", to, expected, lanes<T> * stride, Nan::exact);
    }
}

// Lane l plus lane l + half, then with half as many: the order is a promise, so the model follows it.
template <class T> void reductions() {
    const auto a = random_lanes<T>(random_lane);
    auto sum = a;
    for (int half = lanes<T> / 2; half > 0; half /= 2)
        for (int l = 0; l < half; ++l) sum[l] = sum[l] + sum[l + half];
    const T total = simd::reduce_add<T>(a.vector());
    expect("reduce_add", &total, &sum[0], 1, Nan::any);

    const auto v = random_lanes<T>(random_lane), limits = random_lanes<T>(random_lane);
    for (int i = 0; i < lanes<T>; ++i) {
        bool any = false;
        for (int l = 0; l < lanes<T>; ++l) any |= v[l] >= limits[i];
        const T got = simd::any_at_least<T>(v.vector(), limits[i]), want = any;
        expect("any_at_least", &got, &want, 1, Nan::exact);
    }

    for (auto tree : {random_lanes<T>(not_nan), random_lanes<T>(zero)}) {
        const T largest = simd::reduce_max<T>(tree.vector());
        for (int half = lanes<T> / 2; half > 0; half /= 2)
            for (int l = 0; l < half; ++l) tree[l] = tree[l] > tree[l + half] ? tree[l] : tree[l + half];
        expect("reduce_max", &largest, &tree[0], 1, Nan::exact);
    }
}

void float64_parts() {
    const auto a = random_lanes<double>(positive_normal);
    expect_lanes<double>("exponent", simd::exponent(a.vector()), Nan::exact, [&](int i) { return std::logb(a[i]); });
    expect_lanes<double>("mantissa", simd::mantissa(a.vector()), Nan::exact,
                         [&](int i) { return std::scalbn(a[i], -std::ilogb(a[i])); });
}

void widths() {
    const auto f = random_lanes<float>(random_lane);
    const auto low = random_lanes<double>(random_lane), high = random_lanes<double>(random_lane);
    expect_lanes<double>("widen_low", simd::widen_low(f.vector()), Nan::any, [&](int i) { return double(f[i]); });
    expect_lanes<double>("widen_high", simd::widen_high(f.vector()), Nan::any, [&](int i) { return double(f[i + 8]); });
    expect_lanes<float>("narrow", simd::narrow(low.vector(), high.vector()), Nan::any,
                        [&](int i) { return static_cast<float>(i < 8 ? low[i] : high[i - 8]); });
}

// A format of 16 bits: what its bits are worth, and the bits nearest to a number, by arithmetic in double.
struct Format {
    const char* name;
    int fraction, lowest;
    simd::vec<float> (*load)(const std::uint16_t*);
    void (*store)(std::uint16_t*, simd::vec<float>);

    std::uint32_t infinity() const { return 0x7fff >> fraction << fraction; }
    float widened(std::uint32_t h) const {
        const std::uint32_t field = (h & 0x7fff) >> fraction, low = h & ((1u << fraction) - 1), sign = (h & 0x8000) << 16;
        if ((h & 0x7fff) >= infinity()) return reinterpret<float>(sign | 0x7f800000 | low << (23 - fraction));
        const double units = field == 0 ? low : low + (1 << fraction);
        const float x = static_cast<float>(std::ldexp(units, lowest - fraction + (field == 0 ? 0 : int(field) - 1)));
        return sign ? -x : x;
    }
    std::uint32_t narrowed(float x) const {
        const std::uint32_t bits = reinterpret<std::uint32_t>(x), sign = bits >> 16 & 0x8000;
        const std::uint32_t low = bits >> (23 - fraction) & ((1u << fraction) - 1);
        if (x != x) return sign | infinity() | 1u << (fraction - 1) | low;
        if (x == 0) return sign;
        if (std::isinf(x)) return sign | infinity();
        const int exponent = std::max(std::ilogb(x), lowest);
        const double units = std::nearbyint(std::ldexp(std::fabs(double(x)), fraction - exponent));
        const auto rounded = static_cast<std::uint32_t>(exponent - lowest) << fraction;
        return sign | std::min(rounded + static_cast<std::uint32_t>(units), infinity());
    }
};

// Every number of the format; and with each all float32 that may be rounded wrongly: itself, the middle between it and
// its neighbour away from zero, and the neighbours of both.
void sixteen_bits() {
    const Format formats[] = {{"half", 10, -14, simd::load_half, simd::store_half},
                              {"bfloat16", 7, -126, simd::load_bfloat16, simd::store_bfloat16}};
    for (const Format& format : formats) {
        const auto narrow = [&](const Lanes<float>& from) {
            std::uint16_t got[18] = {0xdead, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xdead};
            format.store(got + 1, from.vector());
            for (int i = 0; i < 18; ++i) {
                const float g = got[i], w = i % 17 ? format.narrowed(from.lane[i - 1]) : 0xdead;
                expect(format.name, &g, &w, 1, Nan::exact);
            }
        };
        for (std::uint32_t h = 0; h < 0x10000; h += 16) {
            std::uint16_t from[17];
            for (int i = 0; i < 16; ++i) from[i + 1] = static_cast<std::uint16_t>(h + i);
            const auto wide = format.load(from + 1);
            expect_lanes<float>(format.name, wide, Nan::any, [&](int i) { return format.widened(h + i); });
            for (std::uint32_t middle : {0u, 1u << (22 - format.fraction)}) {
                for (std::uint32_t beside : {-1, 0, 1}) {
                    Lanes<float> near;
                    for (int i = 0; i < 16; ++i) {
                        const auto bits = reinterpret<std::uint32_t>(format.widened(h + i));
                        const bool subnormal = format.fraction == 10 && ((h + i) & 0x7c00) == 0;
                        const float half_unit = std::ldexp((h + i) & 0x8000 ? -1.0f : 1.0f, -25);
                        const float x = subnormal && middle ? reinterpret<float>(bits) + half_unit
                                                            : reinterpret<float>(bits + middle);
                        near[i] = reinterpret<float>(reinterpret<std::uint32_t>(x) + beside);
                    }
                    narrow(near);
                }
            }
        }
        for (int round = 0; round < 10000; ++round) narrow(random_lanes<float>(random_lane));
    }
}

template <class T> void whole_and_streamed() {
    alignas(64) T out[3 * lanes<T>];
    const auto before = random_lanes<T>(random_lane), a = random_lanes<T>(random_lane);
    for (int i = 0; i < 3 * lanes<T>; ++i) out[i] = before[i % lanes<T>];
    simd::store<T>(out + 1, a.vector());
    expect("store", out + 1, a.lane, lanes<T>, Nan::exact);
    expect("store before", out, before.lane, 1, Nan::exact);
    expect("store after", out + 1 + lanes<T>, before.lane + 1, lanes<T> - 1, Nan::exact);
    simd::stream<T>(out + lanes<T>, a.vector());
    simd::stream_fence();
    expect("stream", out + lanes<T>, a.lane, lanes<T>, Nan::exact);
    expect("stream after", out + 2 * lanes<T>, before.lane, lanes<T>, Nan::exact);
}

// One page that may be touched between two that may not.
class GuardedPage {
public:
    GuardedPage() : size_(sysconf(_SC_PAGESIZE)) {
        void* all = mmap(nullptr, 3 * size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED || mprotect(static_cast<char*>(all) + size_, size_, PROT_READ | PROT_WRITE) != 0) {
            std::perror("guard pages");
            std::_Exit(2);
        }
        page_ = static_cast<char*>(all) + size_;
    }
    template <class T> T* first() const { return reinterpret_cast<T*>(page_); }
    template <class T> T* end() const { return reinterpret_cast<T*>(page_ + size_); }

private:
    std::size_t size_;
    char* page_;
};

template <class T> void partial(const GuardedPage& page) {
    const auto a = random_lanes<T>(random_lane), b = random_lanes<T>(random_lane);
    const T fill = random_lane<T>();
    for (int k = 0; k <= lanes<T>; ++k) {
        expect_lanes<T>("keep_first", simd::keep_first<T>(a.vector(), k), Nan::exact,
                        [&](int i) { return i < k ? a[i] : T(0); });
        for (T* const p : {page.first<T>(), page.end<T>() - k}) {
            std::copy(b.lane, b.lane + k, p);
            expect_lanes<T>("load_partial", simd::load_partial<T>(p, k, fill), Nan::exact,
                            [&](int i) { return i < k ? b[i] : fill; });
            simd::store_partial<T>(p, a.vector(), k);
            expect("store_partial", p, a.lane, k, Nan::exact);
        }
        T out[2 * lanes<T>];
        std::copy(b.lane, b.lane + lanes<T>, out);
        std::copy(b.lane, b.lane + lanes<T>, out + lanes<T>);
        simd::store_partial<T>(out + 1, a.vector(), k);
        expect("store_partial before", out, b.lane, 1, Nan::exact);
        for (int i = k + 1; i < 2 * lanes<T>; ++i)
            expect("store_partial after", out + i, b.lane + i % lanes<T>, 1, Nan::exact);
    }
}

template <class T> void round_of(const GuardedPage& page) {
    arithmetic<T>();
    choices<T>();
    integer_bits<T>();
    reductions<T>();
    transposition<T>();
    columns<T>();
    whole_and_streamed<T>();
    partial<T>(page);
}

}  // namespace

int main() {
    const GuardedPage page;
    sixteen_bits();
    for (int round = 0; round < 2000; ++round) {
        round_of<float>(page);
        round_of<double>(page);
        float64_parts();
        widths();
    }
    std::printf("%ld checks, %ld failures\n", checks, failures);
    return failures == 0 ? 0 : 1;
}
