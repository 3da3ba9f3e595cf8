// The pool: threads that wait for a job, and take its panels in turn. Whoever waits, for work or for the others' last
// panels, spins for a moment before it sleeps: kernels follow each other faster than a thread is woken.
//
// Ownership: the pool is allocated once and never freed, since a thread of another environment may still be about
// to use it while static objects are destroyed; its threads are joined by releasePool(). Whoever holds `busy_` owns
// the job and the list of threads.
#include "pool.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#ifdef __SSE__
#include <xmmintrin.h>
#endif

namespace lockstep {
namespace {

// Round to nearest, subnormals kept: another addon may have changed the mode of this thread.
class DefaultFloatingPoint {
#ifdef __SSE__
 public:
  DefaultFloatingPoint() : before_(_mm_getcsr()) { _mm_setcsr(0x1f80); }
  ~DefaultFloatingPoint() { _mm_setcsr(before_); }

 private:
  const unsigned before_;
#else
 public:
  DefaultFloatingPoint() {}
  ~DefaultFloatingPoint() {}
#endif
};

struct Job {
  int64_t count;
  void (*panel)(const void*, int64_t);
  const void* context;
  std::atomic<int64_t> next{0};
  std::mutex errorMutex;
  std::exception_ptr error;

  void work() {
    const DefaultFloatingPoint mode;
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
      try {
        panel(context, i);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(errorMutex);
        if (!error) error = std::current_exception();
      }
    }
  }
};

// Longer than the gaps between a step's kernels, and too short to count where no work comes.
constexpr std::chrono::microseconds kSpin{500};

void relax() {
#ifdef __SSE__
  _mm_pause();
#endif
}

// What `value` becomes when it is no longer `from`.
uint32_t changed(const std::atomic<uint32_t>& value, uint32_t from) {
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 32; i++) {
      const uint32_t now = value.load();
      if (now != from) return now;
      relax();
    }
  } while (std::chrono::steady_clock::now() - start < kSpin);
  value.wait(from);
  return value.load();
}

class Pool {
 public:
  void run(Job& job) {
    if (job.count < 2 || wanted_.load() < 2 || busy_.exchange(true)) {
      job.work();
      return;
    }
    resize(wanted_.load() - 1);
    job_ = &job;
    call(1);
    job.work();
    // Closed: a thread that comes only now finds nothing to do. One that came before is counted, and waited for.
    generation_.fetch_add(1);
    for (uint32_t working; (working = working_.load()) > 0;) changed(working_, working);
    busy_.store(false);
  }

  void setThreads(int threads) { wanted_.store(threads); }

  void retain() { environments_.fetch_add(1); }

  void release() {
    if (environments_.fetch_sub(1) > 1) return;
    while (busy_.exchange(true)) std::this_thread::yield();
    resize(0);
    busy_.store(false);
  }

 private:
  // Only for the owner of busy_. Starting a thread may fail: then those there are do the work.
  void resize(int threads) {
    if (static_cast<int>(threads_.size()) == threads) return;
    keep_.store(threads);
    call(2);
    while (static_cast<int>(threads_.size()) > threads) {
      threads_.back().join();
      threads_.pop_back();
    }
    try {
      while (static_cast<int>(threads_.size()) < threads) {
        threads_.emplace_back(&Pool::serve, this, static_cast<int>(threads_.size()), generation_.load());
      }
    } catch (const std::system_error&) {
    }
  }

  void call(uint32_t step) {
    generation_.fetch_add(step);
    generation_.notify_all();
  }

  void serve(int number, uint32_t seen) {
    for (;;) {
      seen = changed(generation_, seen);
      if (number >= keep_.load()) return;
      if (seen % 2 == 0) continue;
      working_.fetch_add(1);
      if (generation_.load() == seen) job_->work();  // otherwise it was closed, or even another one opened
      working_.fetch_sub(1);
      working_.notify_one();
    }
  }

  std::atomic<bool> busy_{false};
  std::atomic<int> wanted_{1};
  std::atomic<int> environments_{0};
  std::vector<std::thread> threads_;  // guarded by busy_

  // Odd while a job is open to the threads. Both a thread's count and its second look at the generation, and the owner's
  // closing and its look at the count, are in one order for all (sequentially consistent): one of the two sees the other.
  std::atomic<uint32_t> generation_{0};
  Job* job_ = nullptr;  // written while closed, read while open
  std::atomic<uint32_t> working_{0};
  std::atomic<int> keep_{0};  // threads numbered from here on end
};

Pool& pool() {
  static Pool* const made = new Pool;
  return *made;
}

}  // namespace

void retainPool() { pool().retain(); }
void releasePool() { pool().release(); }
void setPoolThreads(int threads) { pool().setThreads(threads); }

void runPanels(int64_t count, void (*panel)(const void*, int64_t), const void* context) {
  Job job;
  job.count = count;
  job.panel = panel;
  job.context = context;
  pool().run(job);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace lockstep
