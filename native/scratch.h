// Memory that a thread needs while it works on an operation: kept and used again, since operations and panels are many.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>

#include "memory.h"

namespace lockstep {

// What is held at the same time must be different slots.
enum class Slot {
  // Of the thread that runs an operation, until its end; panels on other threads read them, and ask for none of these.
  weights,
  rows,
  inputs,
  kept,
  parts,
  // Of the thread that works on a panel, until its end.
  panel,
  operand,
  sums,
  kernel,
  count
};

// At least `count` floats, aligned to a cache line and on large pages, uninitialised; valid until this thread asks for more in the slot.
// Freed when the thread ends.
inline float* scratch(Slot slot, int64_t count) {
  struct Buffers {
    float* data[static_cast<int>(Slot::count)] = {};
    int64_t size[static_cast<int>(Slot::count)] = {};
    ~Buffers() {
      for (float* buffer : data) std::free(buffer);
    }
  };
  static thread_local Buffers buffers;
  const int i = static_cast<int>(slot);
  if (buffers.size[i] < count) {
    std::free(buffers.data[i]);
    buffers.data[i] = nullptr;
    buffers.size[i] = 0;
    buffers.data[i] = static_cast<float*>(largePages(static_cast<size_t>(count) * sizeof(float)));
    buffers.size[i] = count;
  }
  return buffers.data[i];
}

}  // namespace lockstep
