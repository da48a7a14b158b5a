// How kernels in a helping thread are stopped: that thread never hears Ctrl-C, so it looks at a flag of its call instead.
#pragma once

namespace {

thread_local const volatile unsigned char *stop_flag = nullptr;

// The flag that kernels in this thread obey from now on; none with a null pointer.
inline void obey_flag(const unsigned char *flag) { stop_flag = flag; }

inline bool obeys_flag() { return stop_flag != nullptr; }

// Whether it has been set.
inline bool is_flag_set() { return *stop_flag != 0; }

}  // namespace
