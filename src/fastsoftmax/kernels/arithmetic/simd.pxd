"""Cython's view of the vector vocabulary; `simd/simd.hpp` and `simd/stored.hpp` state what each word means."""

from libc.stdint cimport uint16_t

cdef extern from "simd.hpp" namespace "simd" nogil:
    const bint has_fma

    cdef cppclass vec[T]:
        vec() noexcept
        vec[T] operator+(vec[T]) noexcept
        vec[T] operator-(vec[T]) noexcept
        vec[T] operator*(vec[T]) noexcept
        vec[T] operator/(vec[T]) noexcept

    vec[T] load[T](const T* p) noexcept
    void store[T](T* p, vec[T] v) noexcept
    vec[T] load_partial[T](const T* p, Py_ssize_t k, T fill) noexcept
    void store_partial[T](T* p, vec[T] v, Py_ssize_t k) noexcept
    void stream[T](T* p, vec[T] v) noexcept
    void stream_fence() noexcept
    vec[T] broadcast[T](T x) noexcept
    vec[T] fma[T](vec[T] a, vec[T] b, vec[T] c) noexcept
    vec[T] maximum[T](vec[T] a, vec[T] b) noexcept
    vec[T] minimum[T](vec[T] a, vec[T] b) noexcept
    vec[T] select_equal[T](vec[T] a, vec[T] b, vec[T] x, vec[T] y) noexcept
    vec[T] select_less[T](vec[T] a, vec[T] b, vec[T] x, vec[T] y) noexcept
    vec[T] canonical_nans[T](vec[T] v) noexcept
    vec[T] keep_first[T](vec[T] v, Py_ssize_t k) noexcept
    vec[float] shift_19 "simd::shift_bits<float, 19>"(vec[float] v) noexcept
    vec[double] shift_48 "simd::shift_bits<double, 48>"(vec[double] v) noexcept
    vec[T] add_bits[T](vec[T] a, vec[T] b) noexcept
    vec[T] lookup[T](const T* table, vec[T] v) noexcept
    vec[double] exponent(vec[double] v) noexcept
    vec[double] mantissa(vec[double] v) noexcept
    bint any_at_least[T](vec[T] v, T x) noexcept
    T reduce_add[T](vec[T] v) noexcept
    T reduce_max[T](vec[T] v) noexcept
    vec[double] widen_low(vec[float] v) noexcept
    vec[double] widen_high(vec[float] v) noexcept
    void transpose[T](vec[T]* rows) noexcept
    void load_columns[T](const T* p, Py_ssize_t stride, Py_ssize_t count, vec[T]* columns) noexcept
    void store_columns[T](T* p, Py_ssize_t stride, Py_ssize_t count, const vec[T]* columns) noexcept
    vec[float] narrow(vec[double] low, vec[double] high) noexcept
    vec[float] load_half(const uint16_t* p) noexcept
    void store_half(uint16_t* p, vec[float] v) noexcept
    vec[float] load_bfloat16(const uint16_t* p) noexcept
    void store_bfloat16(uint16_t* p, vec[float] v) noexcept
    void prefetch[T](const T* p) noexcept
    T from_bits[T](T unused, long long bits) noexcept

cdef extern from "specialised.hpp" namespace "simd" nogil:
    int specialised(...) except -1
    bint is_specialised "simd::specialised"(...) noexcept

cdef extern from "stored.hpp" namespace "simd" nogil:
    cdef enum Storage:
        AS_COMPUTED
        FLOAT16
        BFLOAT16
        DIFFERENT

    cdef cppclass stored[T]:
        stored() noexcept
        char* at
        Storage storage
        stored[T] operator+(Py_ssize_t) noexcept

    stored[T] native[T](const T* p) noexcept
    stored[T] stored_as[T](Storage storage, stored[T] p) noexcept
    Storage common_storage[T](stored[T] a, stored[T] b, stored[T] c) noexcept
    vec[T] load[T](stored[T] p) noexcept
    void store[T](stored[T] p, vec[T] v) noexcept
    vec[T] load_partial[T](stored[T] p, Py_ssize_t k, T fill) noexcept
    void store_partial[T](stored[T] p, vec[T] v, Py_ssize_t k) noexcept
    void load_at[T](const T* p, Py_ssize_t i, Py_ssize_t n, T beyond, vec[T]* values) noexcept
    void load_at[T](stored[T] p, Py_ssize_t i, Py_ssize_t n, T beyond, vec[T]* values) noexcept
    T number_at[T](stored[T] p) noexcept
    void set_number[T](stored[T] p, T x) noexcept
    const T* as_computed[T](stored[T] x, Py_ssize_t n, T* buffer) noexcept
    T* room_for[T](stored[T] y, T* buffer) noexcept
    void put[T](const T* results, stored[T] y, Py_ssize_t n) noexcept
