// See memory.h.
#include "memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#include "call.h"
#include "crc32.h"

namespace lockstep {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr uintptr_t kCacheLine = 64;

// Kernels walk matrices by columns as well as rows, and small pages would miss the TLB at every step. Only what has not been
// written to yet comes to lie on large ones.
void preferHugePages(void* memory, size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t kPage = 4096;
  const uintptr_t from = (reinterpret_cast<uintptr_t>(memory) + kPage - 1) / kPage * kPage;
  const uintptr_t to = (reinterpret_cast<uintptr_t>(memory) + bytes) / kPage * kPage;
  if (to > from && bytes >= kHugePage) madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
#endif
}

// Blocks are cut from regions, so that small ones come to lie on large pages, too.
struct Region {
  std::atomic<int> holders;
  char* memory;
};

constexpr size_t kRegionBytes = 16 * kHugePage;

class Regions {
 public:
  // Zeroed, and aligned to 64 bytes. `region` holds it until drop(region).
  char* take(size_t bytes, Region** region) {
    char* const block = cut(bytes, region);
    std::memset(block, 0, bytes);
    return block;
  }

  static void drop(Region* region) {
    if (--region->holders > 0) return;
    std::free(region->memory);
    delete region;
  }

 private:
  char* cut(size_t bytes, Region** region) {
    const size_t size = (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
    if (size > kRegionBytes / 4) {
      *region = make(size);
      return (*region)->memory;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!current_ || used_ + size > kRegionBytes) {
      Region* const next = make(kRegionBytes);
      if (current_) drop(current_);
      current_ = next;
      used_ = 0;
    }
    char* const block = current_->memory + used_;
    used_ += size;
    current_->holders++;
    *region = current_;
    return block;
  }

  static Region* make(size_t bytes) { return new Region{{1}, static_cast<char*>(largePages(bytes))}; }

  std::mutex mutex_;
  Region* current_ = nullptr;  // which it holds, too
  size_t used_ = 0;
};

// The memory belongs to the ArrayBuffer: the finalizer runs when it is collected, or when the environment ends.
napi_value allocate(const Arguments& a) {
  static Regions regions;
  const size_t bytes = static_cast<size_t>(a.count(0, "bytes"));
  Region* region = nullptr;
  char* const memory = regions.take(bytes, &region);
  const auto release = [](napi_env, void*, void* held) { Regions::drop(static_cast<Region*>(held)); };
  napi_value result;
  if (napi_create_external_arraybuffer(a.env(), memory, bytes, release, region, &result) != napi_ok) {
    Regions::drop(region);
    throw std::runtime_error("this runtime allows no external ArrayBuffer");
  }
  return result;
}

napi_value useHugePages(const Arguments& a) {
  int64_t length = 0;
  const uint8_t* const data = a.bytes(0, "bytes", &length);
  preferHugePages(const_cast<uint8_t*>(data), static_cast<size_t>(length));
  napi_value offset;
  napi_create_double(a.env(), static_cast<double>((0 - reinterpret_cast<uintptr_t>(data)) % kCacheLine), &offset);
  return offset;
}

// Detaching ends the ArrayBuffer's hold on its memory, so the finalizer of whoever made it runs soon.
napi_value release(const Arguments& a) {
  const napi_value buffer = a.bufferOf(0, "bytes");
  bool isDetachable = false;
  napi_is_arraybuffer(a.env(), buffer, &isDetachable);  // shared memory is none, and stays
  if (isDetachable) napi_detach_arraybuffer(a.env(), buffer);
  return nullptr;
}

napi_value crc32(const Arguments& a) {
  int64_t length = 0;
  const uint8_t* const data = a.bytes(0, "bytes", &length);
  napi_value result;
  napi_create_uint32(a.env(), lockstep::crc32(data, length), &result);
  return result;
}

}  // namespace

void* largePages(size_t bytes) {
  const size_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* memory = nullptr;
  if (posix_memalign(&memory, kHugePage, size) != 0) throw std::bad_alloc();
  preferHugePages(memory, size);
  return memory;
}

void keepFreedMemory() {
#ifdef __GLIBC__
  constexpr int kKeptBytes = 512 << 20;
  mallopt(M_TRIM_THRESHOLD, kKeptBytes);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest that glibc takes: tensors may well be mapped
#endif
}

void bindMemory(napi_env env, napi_value target) {
  define<allocate>(env, target, "allocate");
  define<useHugePages>(env, target, "useHugePages");
  define<release>(env, target, "release");
  define<crc32>(env, target, "crc32");
}

}  // namespace lockstep
