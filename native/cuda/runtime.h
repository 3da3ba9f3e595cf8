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

// Runs `kernel` over a grid of blocks, after what was launched before it. An empty grid runs nothing.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, int threads, size_t sharedBytes, Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
#ifdef LOCKSTEP_CUDA_EMULATION
  emulation::run(grid, threads, sharedBytes, [=] { kernel(arguments...); });
#else
  if (sharedBytes > 48 * 1024) {  // what a block may use without asking
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(sharedBytes)),
          "shared memory of a kernel");
  }
  kernel<<<grid, threads, sharedBytes, computeStream()>>>(arguments...);
  check(cudaGetLastError(), "the launch of a kernel");
#endif
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
