// The memory of the emulated device: the process's own, of a bounded size, and never clean. See runtime.h.
#include <cstdlib>
#include <map>

#include "runtime.h"

namespace {

std::map<void*, size_t> given;
size_t usedBytes = 0;

size_t deviceBytes() {
  const char* const set = std::getenv("LOCKSTEP_EMULATED_DEVICE_BYTES");
  return set ? std::strtoull(set, nullptr, 10) : size_t{1} << 30;
}

}  // namespace

cudaError_t cudaMemGetInfo(size_t* freeBytes, size_t* totalBytes) {
  *totalBytes = deviceBytes();
  *freeBytes = *totalBytes - usedBytes;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  if (bytes > deviceBytes() - usedBytes) return cudaErrorMemoryAllocation;
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(*memory, 0xff, bytes);
  given[*memory] = bytes;
  usedBytes += bytes;
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  usedBytes -= given[memory];
  given.erase(memory);
  std::free(memory);
  return cudaSuccess;
}
