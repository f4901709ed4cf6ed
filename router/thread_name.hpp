#pragma once
/// Names of threads, as `top -H` and profiles show them: who spends the time is the first question to a server that is slow.

#include <pthread.h>

namespace kedge {

/// Of the calling thread; 15 bytes at most (pthread_setname_np(3)). Threads that it starts have it too, until they say otherwise.
inline void name_thread(char const* name) noexcept { ::pthread_setname_np(::pthread_self(), name); }

}  // namespace kedge
