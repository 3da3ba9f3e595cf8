// The CUDA runtime as the device's sources use it: the toolkit's own, or its emulation on the CPU (emulation/runtime.h), on
// which tests run the same kernels where no GPU is. Includes nothing else of the toolkit.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef LOCKSTEP_CUDA_EMULATION
#include "emulation/runtime.h"
#else
#include <cuda_runtime.h>
#endif

namespace lockstep::cuda {

// Throws std::runtime_error that says what failed. Errors of kernels that run are seen by a later call.
void check(cudaError_t status, const char* what);

// Everything the device computes runs in this order. Copies to the host have a stream of their own (device.h).
cudaStream_t computeStream();

// To be called before each piece of work for the device; see Device::starved.
void workComes();

// A block's shared memory that needs no asking. What kernels declare themselves (at most kStaticSharedBytes) is part of it.
constexpr size_t kFreeSharedBytes = 48 * 1024, kStaticSharedBytes = 9 * 1024;
// Asks for more, for this kernel. Throws a sentence for the user where the device has not so much.
void allowSharedMemory(const void* kernel, size_t bytes);

// Runs `kernel` over a grid of blocks, after what was launched before it. An empty grid runs nothing.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, int threads, size_t sharedBytes, Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  workComes();
  if (sharedBytes > 0 && sharedBytes + kStaticSharedBytes > kFreeSharedBytes) {
    allowSharedMemory(reinterpret_cast<const void*>(kernel), sharedBytes);
  }
#ifdef LOCKSTEP_CUDA_EMULATION
  emulation::run(grid, threads, sharedBytes, [=] { kernel(arguments...); });
#else
  kernel<<<grid, threads, sharedBytes, computeStream()>>>(arguments...);
#endif
  check(cudaGetLastError(), "the launch of a kernel");
}

// The block's memory whose size the launch gave.
template <typename T>
__device__ inline T* sharedMemory() {
#ifdef LOCKSTEP_CUDA_EMULATION
  return reinterpret_cast<T*>(emulation::sharedMemory());
#else
  extern __shared__ __align__(16) unsigned char lockstepSharedMemory[];
  return reinterpret_cast<T*>(lockstepSharedMemory);
#endif
}

__host__ __device__ constexpr int64_t divideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace lockstep::cuda
