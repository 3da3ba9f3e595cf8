// The CUDA device as the rest of the addon sees it: memory, copies, and the operations of ../operations.h over device memory.
// It is a shared library of its own (build/lockstep-cuda.so), so that one addon runs with and without a GPU. One device, and
// one computing thread, per process. Errors are exceptions (std::runtime_error).
#pragma once

#include <cstdint>

#include "../operations.h"

namespace lockstep::cuda {

// How products multiply, and in which format activations are stored. Parameters, their gradients, log-sums and statistics are
// float32 in all of them.
enum class Arithmetic { float32 = 0, tf32 = 1, bfloat16 = 2 };

struct DeviceInfo {
  char name[256];
  char architecture[16];  // "sm_90"
  int64_t totalBytes, freeBytes;
  int runtimeVersion;   // 13000 is 13.0
  int64_t productVersion;  // of cuBLASLt
  bool emulated;        // on the CPU, for tests
};

struct Device {
  int version;  // of this table: kDeviceVersion
  int (*count)();
  // Of cuBLASLt, which is loaded if it was not. Throws where it is not found.
  int64_t (*productVersion)();
  // Chooses the process's device for the calling thread, which computes from now on.
  void (*open)(int index);
  // Waits for what was launched, and gives back all that was taken and pinned since `open`: the next thread may open the device.
  void (*close)();
  DeviceInfo (*info)();

  // Null when the device has no more.
  void* (*allocate)(int64_t bytes);
  void (*free)(void* memory);
  // Lets copies to and from this host memory run by themselves, at full speed. Memory that cannot be pinned is copied anyhow.
  void (*pin)(void* host, int64_t bytes);

  // Ordered with the operations. upload returns when `host` may be changed, which pinned memory may only when the operations
  // that follow have run; download returns when it holds the values.
  void (*upload)(void* device, const void* host, int64_t bytes);
  void (*download)(void* host, const void* device, int64_t bytes);
  void (*zero)(void* device, int64_t bytes);
  // Copies to the host beside the operations that follow, after those that went before. The n-th call has finished when
  // fetched() returns n or more. `wait`: until all have.
  void (*fetch)(void* host, const void* device, int64_t bytes);
  int64_t (*fetched)(bool wait);
  // Until everything launched has run.
  void (*synchronise)();
  // Seconds since the last call in which the device may have had nothing to do, from above: the time from one piece of work to the
  // next, wherever the next found the device idle. `on`: whether to go on looking, which costs a microsecond a piece.
  double (*starved)(bool on);

  void (*convert)(void* to, Format toFormat, const void* from, Format fromFormat, int64_t count);
  // out = a + b of activations; out may be a or b.
  void (*sum)(void* out, const void* a, const void* b, int64_t count, Format format);

  // Pointers to activations stand for elements of their format, whatever the table's types say.
  const Operations& (*operations)(Arithmetic arithmetic);
};

// Another one with each change of what this table's functions, or the operations, take.
constexpr int kDeviceVersion = 4;

// ---- within the library

// Device memory that operations use for themselves, one piece for each purpose, grown as needed. Its content lasts until the
// next operation that uses the same.
enum class Scratch { columns, weights, bias, gathered, rowGradients, logits, rowLosses, along, order, sorted, sort, product, count };
void* scratchBytes(Scratch purpose, int64_t bytes);
template <typename T>
T* scratch(Scratch purpose, int64_t count) {
  return static_cast<T*>(scratchBytes(purpose, count * static_cast<int64_t>(sizeof(T))));
}

// Each file of operations fills its part of a table.
void fillLinear(Operations& table, Arithmetic arithmetic);
void fillAttention(Operations& table, Arithmetic arithmetic);
void fillNorm(Operations& table, Arithmetic arithmetic);
void fillEmbedding(Operations& table, Arithmetic arithmetic);
void fillLoss(Operations& table, Arithmetic arithmetic);
void fillVectors(Operations& table);
void fillVectorFunctions(Device& device);

}  // namespace lockstep::cuda

extern "C" const lockstep::cuda::Device* lockstepCudaDevice();
