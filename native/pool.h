// The process-wide pool of threads, over which an operation spreads its panels. Each panel writes only its own output, and every
// element's additions have a fixed order: results do not depend on the number of threads, even where the number of panels does.
#pragma once

#include <cstdint>

#include "isa/kernels.h"

namespace lockstep {

// Counts the environments (main thread, worker_threads) that loaded the addon. When the last one ends, the pool's
// threads are joined: Node would otherwise wait for them, or unload the addon under them.
void retainPool();
void releasePool();

// Threads that work on an operation, the caller included.
void setPoolThreads(int threads);
int poolThreads();

void runPanels(int64_t count, void (*panel)(const void* context, int64_t index), const void* context);

// Calls body(i) once for each i in [0, count), possibly on several threads, and returns when all are done. The first
// exception that a body throws is thrown here. Callable from any thread at any time: while the pool works for
// another caller (or this call comes from inside a body) all panels run on the caller.
template <typename Body>
void forPanels(int64_t count, const Body& body) {
  runPanels(
      count, [](const void* context, int64_t index) { (*static_cast<const Body*>(context))(index); }, &body);
}

// The same over [0, total) cut into panels of `size`: body(first, count).
template <typename Body>
void forPanelsOf(int64_t size, int64_t total, const Body& body) {
  forPanels(ceilDiv(total, size), [&](int64_t panel) {
    const int64_t first = panel * size;
    body(first, total - first < size ? total - first : size);
  });
}

}  // namespace lockstep
