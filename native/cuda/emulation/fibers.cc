// The scheduler of the emulation: one fiber per thread of a block, switched round robin at barriers. See runtime.h.
// Fibers are begun by makecontext, once, and from then on switched by _setjmp and _longjmp, which make no system call.
#include <csetjmp>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include <ucontext.h>

#include "runtime.h"

namespace lockstep::cuda::emulation {

Position position;

namespace {

constexpr size_t kStackBytes = 256 * 1024;
constexpr int kWarp = 32;

struct Fiber {
  std::unique_ptr<unsigned char[]> stack;
  ucontext_t begin;
  jmp_buf resume;
  bool begun = false, done = false;
};

struct Barrier {
  int arrived = 0;
  uint64_t passed = 0;
};

std::vector<std::unique_ptr<Fiber>> fibers;
jmp_buf scheduler;
int running, alive, aliveOfWarp[kWarp];
Barrier ofBlock, ofWarp[kWarp];
WarpExchange exchange[kWarp];
std::vector<uint64_t> shared;
const std::function<void()>* work;

// In which order threads take turns, and blocks: ascending, or shuffled anew for each turn, of which some warps then miss some, so
// that one gets ahead of another as far as barriers let it.
class Turns {
 public:
  const std::vector<int>& next(int count) {
    if (static_cast<int>(order_.size()) != count) {
      order_.resize(static_cast<size_t>(count));
      std::iota(order_.begin(), order_.end(), 0);
    }
    for (size_t i = order_.size(); isShuffled_ && i > 1; i--) std::swap(order_[i - 1], order_[random_() % i]);
    return order_;
  }
  // A bit for each warp that misses the next turn.
  unsigned missing() { return isShuffled_ ? random_() : 0; }

 private:
  static unsigned seed() {
    const char* const set = std::getenv("LOCKSTEP_EMULATION_ORDER");
    return set ? static_cast<unsigned>(std::strtoul(set, nullptr, 10)) : 0;
  }
  const bool isShuffled_ = seed() > 0;
  std::mt19937 random_{seed()};
  std::vector<int> order_;
};
Turns turnsOfThreads, turnsOfBlocks;

void pause() {
  if (_setjmp(fibers[running]->resume) == 0) _longjmp(scheduler, 1);
}

// `expected` falls when threads end: whoever waits looks again.
void wait(Barrier& barrier, const int& expected) {
  const uint64_t turn = barrier.passed;
  barrier.arrived++;
  while (barrier.passed == turn) {
    if (barrier.arrived < expected) {
      pause();
    } else {
      barrier.arrived = 0;
      barrier.passed++;
    }
  }
}

// A fiber's life: one thread after another, of one block after another.
void live() {
  for (;;) {
    (*work)();
    fibers[running]->done = true;
    alive--;
    aliveOfWarp[running / kWarp]--;
    pause();
  }
}

void resume(Fiber& fiber) {
  if (_setjmp(scheduler) != 0) return;
  if (fiber.begun) _longjmp(fiber.resume, 1);
  fiber.begun = true;
  fiber.stack.reset(new unsigned char[kStackBytes]);
  getcontext(&fiber.begin);
  fiber.begin.uc_stack.ss_sp = fiber.stack.get();
  fiber.begin.uc_stack.ss_size = kStackBytes;
  fiber.begin.uc_link = nullptr;
  makecontext(&fiber.begin, live, 0);
  setcontext(&fiber.begin);
}

void runBlock(const dim3& block, int threads) {
  for (int i = 0; i < threads; i++) fibers[i]->done = false;
  alive = threads;
  for (int warp = 0; warp < kWarp; warp++) {
    const int left = threads - warp * kWarp;
    aliveOfWarp[warp] = left < 0 ? 0 : left < kWarp ? left : kWarp;
  }
  ofBlock = Barrier();
  for (Barrier& barrier : ofWarp) barrier = Barrier();
  while (alive > 0) {
    const unsigned missing = turnsOfThreads.missing();
    for (const int thread : turnsOfThreads.next(threads)) {
      if (fibers[thread]->done || (missing >> (thread / kWarp) & 1)) continue;
      running = thread;
      position.thread = dim3(static_cast<unsigned>(running), 0, 0);
      position.block = block;
      resume(*fibers[running]);
    }
  }
}

}  // namespace

void blockBarrier() { wait(ofBlock, alive); }
void warpBarrier() { wait(ofWarp[running / kWarp], aliveOfWarp[running / kWarp]); }
WarpExchange& warpExchange() { return exchange[running / kWarp]; }
unsigned char* sharedMemory() { return reinterpret_cast<unsigned char*>(shared.data()); }

void run(dim3 grid, int threads, size_t sharedBytes, const std::function<void()>& body) {
  if (grid.y > 65535 || grid.z > 65535 || grid.x > 0x7fffffff) throw std::runtime_error("CUDA: a grid has too many blocks");
  if (threads > 1024) throw std::runtime_error("CUDA: a block has too many threads");
  while (fibers.size() < static_cast<size_t>(threads)) fibers.emplace_back(new Fiber());
  // What a block finds in its memory is undefined: NaN shows a read of what nobody wrote.
  shared.assign(sharedBytes / sizeof(uint64_t) + 1, ~uint64_t{0});
  work = &body;
  position.blocks = grid;
  position.threads = dim3(static_cast<unsigned>(threads));
  for (const int index : turnsOfBlocks.next(static_cast<int>(grid.x * grid.y * grid.z))) {
    const auto block = static_cast<unsigned>(index);
    runBlock(dim3(block % grid.x, block / grid.x % grid.y, block / grid.x / grid.y), threads);
  }
}

}  // namespace lockstep::cuda::emulation
