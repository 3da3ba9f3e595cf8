// Choice of the instruction set. See select.h.
#include "select.h"

#include <atomic>
#include <cstdlib>
#include <iterator>

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
  constexpr int ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18;
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
  return false;
#endif
}
#endif

// Ascending. A table is filled (by code of its instruction set) only where the machine has it.
struct Tables {
  Kernels sets[std::size(kInstructionSets)];
  int count = 0;

  Tables() {
    sse2::fillKernels(sets[count++]);
#ifdef __x86_64__
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
    avx2::fillKernels(sets[count++]);
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw")) return;
    if (!__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) return;
    avx512::fillKernels(sets[count++]);
    if (!__builtin_cpu_supports("avx512bf16")) return;
    avx512bf16::fillKernels(sets[count++]);
    if (!__builtin_cpu_supports("amx-tile") || !__builtin_cpu_supports("amx-bf16") || !mayUseTiles()) return;
    amx::fillKernels(sets[count++]);
#endif
  }
};

const Tables& tables() {
  static const Tables made;
  return made;
}

// The best up to the one of that name.
const Kernels* bestUpTo(const std::string& name) {
  const Kernels* best = &tables().sets[0];
  for (int i = 1; i < tables().count && best->isa != name; i++) best = &tables().sets[i];
  return best;
}

std::atomic<const Kernels*> chosen{nullptr};

}  // namespace

const Kernels& bestKernels() {
  static const char* const limit = std::getenv("LOCKSTEP_ISA");
  static const Kernels* const best = bestUpTo(limit ? limit : "");
  return *best;
}

const Kernels& kernels() {
  const Kernels* const current = chosen.load(std::memory_order_relaxed);
  return current ? *current : bestKernels();
}

void chooseIsa(const std::string& name) { chosen.store(bestUpTo(name), std::memory_order_relaxed); }

}  // namespace lockstep
