// Sorting by CUB's radix sort, which is stable. See sort.h.
#include "sort.h"

#include <cub/device/device_radix_sort.cuh>

#include "device.h"
#include "runtime.h"

namespace lockstep::cuda {
namespace {

__global__ void count(int32_t* rows, int64_t length) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < length) rows[i] = static_cast<int32_t>(i);
}

}  // namespace

Sorted sortIds(const int32_t* ids, int64_t length) {
  int32_t* const rows = scratch<int32_t>(Scratch::order, 2 * length);
  int32_t* const sortedIds = scratch<int32_t>(Scratch::sorted, length);
  launch(count, dim3(static_cast<unsigned>(divideUp(length, 256))), 256, 0, rows, length);
  size_t bytes = 0;
  const auto sort = [&](void* memory) {
    return cub::DeviceRadixSort::SortPairs(memory, bytes, ids, sortedIds, rows, rows + length, length, 0, 32, computeStream());
  };
  check(sort(nullptr), "sorting");  // tells the bytes it needs
  check(sort(scratchBytes(Scratch::sort, static_cast<int64_t>(bytes))), "sorting");
  return {sortedIds, rows + length};
}

}  // namespace lockstep::cuda
