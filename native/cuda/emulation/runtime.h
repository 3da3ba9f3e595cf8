// As much of CUDA as the device's sources use, on the CPU: a block's threads are fibers of one thread, which change at
// barriers and shuffles; "device memory" is the process's own; streams order nothing, since every call has finished when it
// returns, but an event says so only when asked twice. For tests only: it shows that kernels compute what they should, not that
// they are fast. With LOCKSTEP_EMULATION_ORDER=N threads and blocks take turns in an order shuffled by N, which finds most
// barriers that are missing.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)
#define __restrict__

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>((uint64_t{a} * b) >> 32); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }

// ---- the runtime's functions, of which each has finished when it returns

using cudaError_t = int;
using cudaStream_t = void*;
using cudaEvent_t = bool*;  // whether it was asked for since it was recorded
constexpr cudaError_t cudaSuccess = 0, cudaErrorMemoryAllocation = 2, cudaErrorNotReady = 600;
constexpr int cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2, cudaHostRegisterDefault = 0,
              cudaFuncAttributeMaxDynamicSharedMemorySize = 8;
constexpr int cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2;
struct cudaDeviceProp {
  char name[256];
  int major, minor;
};

inline const char* cudaGetErrorString(cudaError_t) { return "error"; }
// As in CUDA, a query that finds work unfinished leaves an error here, which the next launch would be blamed for.
inline cudaError_t lastCudaError = cudaSuccess;
inline cudaError_t cudaGetLastError() {
  const cudaError_t error = lastCudaError;
  return lastCudaError = cudaSuccess, error;
}
inline cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
inline cudaError_t cudaSetDevice(int index) { return index == 0 ? cudaSuccess : 101; }
inline cudaError_t cudaGetDevice(int* index) { return *index = 0, cudaSuccess; }
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  return *properties = {"emulated on the CPU", 0, 0}, cudaSuccess;
}
inline cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 0, cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t* freeBytes, size_t* totalBytes);
// Of a small device: LOCKSTEP_EMULATED_DEVICE_BYTES, or 1 GiB. What it gives is filled with NaN.
cudaError_t cudaMalloc(void** memory, size_t bytes);
cudaError_t cudaFree(void* memory);
inline cudaError_t cudaHostRegister(void*, size_t, int) { return cudaSuccess; }
inline cudaError_t cudaHostUnregister(void*) { return cudaSuccess; }
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, int, cudaStream_t) {
  return std::memcpy(to, from, bytes), cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t) {
  return std::memset(memory, value, bytes), cudaSuccess;
}
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, int) { return *stream = nullptr, cudaSuccess; }
inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, int) { return *event = new bool(), cudaSuccess; }
inline cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) { return *event = false, cudaSuccess; }
inline cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (*event) return cudaSuccess;
  *event = true;  // the next time
  return lastCudaError = cudaErrorNotReady;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaFuncSetAttribute(const void*, int, int bytes) { return bytes > 227 * 1024 ? 1 : cudaSuccess; }

namespace lockstep::cuda::emulation {

struct Position {
  dim3 thread, block, blocks, threads;
};
// Of the fiber that runs.
extern Position position;

// Runs body once per thread of the grid, block after block. Throws where a launch would fail on every device.
void run(dim3 grid, int threads, size_t sharedBytes, const std::function<void()>& body);
unsigned char* sharedMemory();
// Ends the process where a device would: an access of so many bytes must begin at a multiple of them.
inline void checkAlignment(const void* p, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(p) % bytes == 0) return;
  std::fprintf(stderr, "CUDA emulation: misaligned address %p, expected a multiple of %zu\n", p, bytes);
  std::abort();
}

// Until all of the block, or of the warp, have come here.
void blockBarrier();
void warpBarrier();

// Where the lanes of the current warp give each other 32 bytes, between two barriers.
struct WarpExchange {
  unsigned char ofLane[32][32];
};
WarpExchange& warpExchange();

template <typename T>
T shuffle(T value, int lane) {
  static_assert(sizeof(T) <= sizeof(WarpExchange::ofLane[0]));
  std::memcpy(warpExchange().ofLane[position.thread.x % 32], &value, sizeof(T));
  warpBarrier();
  T other;
  std::memcpy(&other, warpExchange().ofLane[lane], sizeof(T));
  warpBarrier();
  return other;
}

}  // namespace lockstep::cuda::emulation

#define threadIdx (::lockstep::cuda::emulation::position.thread)
#define blockIdx (::lockstep::cuda::emulation::position.block)
#define blockDim (::lockstep::cuda::emulation::position.threads)
#define gridDim (::lockstep::cuda::emulation::position.blocks)

inline void __syncthreads() { lockstep::cuda::emulation::blockBarrier(); }
inline void __syncwarp() { lockstep::cuda::emulation::warpBarrier(); }
template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return lockstep::cuda::emulation::shuffle(value, static_cast<int>(threadIdx.x % 32) ^ mask);
}
