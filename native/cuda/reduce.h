// Sums and maxima over a warp or a block, in an order that depends on nothing but the number of threads. All threads call.
#pragma once

#include "runtime.h"

namespace lockstep::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;

struct Sum {
  template <typename T>
  __device__ static T of(T a, T b) {
    return a + b;
  }
};
struct Maximum {
  __device__ static float of(float a, float b) { return a > b ? a : b; }
};

// Over `lanes` neighbouring lanes, a power of two; each gets the result.
template <typename Operation, int lanes = 32, typename T>
__device__ inline T reduceWarp(T value) {
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    value = Operation::of(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

// Over a block of at most 1024 threads, a multiple of 32; each gets the result.
template <typename Operation, typename T>
__device__ inline T reduceBlock(T value) {
  __shared__ T ofWarp[32];
  value = reduceWarp<Operation>(value);
  __syncthreads();  // an earlier call's results have been read
  if (threadIdx.x % 32 == 0) ofWarp[threadIdx.x / 32] = value;
  __syncthreads();
  T all = ofWarp[0];
  for (unsigned warp = 1; warp < blockDim.x / 32; warp++) all = Operation::of(all, ofWarp[warp]);
  return all;
}

}  // namespace lockstep::cuda
