// Choice of the instruction set. See select.h.
#include "select.h"

#include <atomic>

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lockstep {
namespace {

#ifdef __x86_64__
// Linux lets a process use AMX's tiles, 8 KiB of state a thread, once it has asked.
bool mayUseTiles() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif

// Ascending. A table is filled (by code of its instruction set) only where the machine has it.
struct Tables {
  Kernels sets[5];
  int count = 0;

  Tables() {
    sse2::fillKernels(sets[count++]);
#ifdef __x86_64__
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
    avx2::fillKernels(sets[count++]);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      avx512::fillKernels(sets[count++]);
      if (!__builtin_cpu_supports("avx512bf16")) return;
      avx512bf16::fillKernels(sets[count++]);
      if (__builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") && mayUseTiles()) {
        amx::fillKernels(sets[count++]);
      }
    }
#endif
  }
};

const Tables& tables() {
  static const Tables made;
  return made;
}

std::atomic<const Kernels*> chosen{nullptr};

}  // namespace

const Kernels& kernels() {
  const Kernels* current = chosen.load(std::memory_order_relaxed);
  return current ? *current : tables().sets[tables().count - 1];
}

void chooseIsa(const std::string& name) {
  const Kernels* best = &tables().sets[0];
  for (int i = 1; i < tables().count && best->isa != name; i++) best = &tables().sets[i];
  chosen.store(best, std::memory_order_relaxed);
}

}  // namespace lockstep
