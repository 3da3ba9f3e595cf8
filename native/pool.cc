// The pool: threads that work on one job at a time, each on its share of the panels first. Whoever waits, for work or for the others'
// last panels, stays awake for a moment: kernels follow each other faster than a sleeping thread is woken.
//
// Ownership: the pool is allocated once and never freed, since a thread of another environment may still be about
// to use it while static objects are destroyed; its threads are joined by releasePool(). Whoever holds `busy_` owns
// the job and the list of threads; everything that pool threads look at is changed under `mutex_`, panel numbers aside. What is
// looked at without it, to see whether waiting has an end, is atomic.
#include "pool.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
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

// One thread's panels, in order; a thread that has finished its own takes from the others'.
struct alignas(64) Share {
  std::atomic<int64_t> next{0};
  int64_t end = 0;

  // The next panel, if there is one.
  bool take(int64_t* panel) {
    if (next.load(std::memory_order_relaxed) >= end) return false;
    *panel = next.fetch_add(1, std::memory_order_relaxed);
    return *panel < end;
  }
};

struct Job {
  int64_t count;
  void (*panel)(const void*, int64_t);
  const void* context;
  Share* shares = nullptr;
  int64_t threads = 0;
  std::mutex errorMutex;
  std::exception_ptr error;

  // Operations of as many panels give each of them to the same thread: what one writes lies in the cache of the core that reads
  // it in the next.
  void divide(Share* among, int64_t number) {
    shares = among;
    threads = number;
    for (int64_t i = 0; i < threads; i++) {
      shares[i].next.store(count * i / threads, std::memory_order_relaxed);
      shares[i].end = count * (i + 1) / threads;
    }
  }

  void work(int64_t thread) {
    const DefaultFloatingPoint mode;
    for (int64_t i = 0; i < threads; i++) {
      Share& share = shares[(thread + i) % threads];
      for (int64_t next; share.take(&next);) {
        try {
          panel(context, next);
        } catch (...) {
          const std::lock_guard<std::mutex> lock(errorMutex);
          if (!error) error = std::current_exception();
        }
      }
    }
  }
};

// Longer than the gaps between a step's kernels, and too short to count where no work comes.
constexpr std::chrono::microseconds kAwake{500};

// Gives up what was taken.
struct Owner {
  explicit Owner(std::atomic<bool>& taken) : busy(taken) {}
  ~Owner() { busy.store(false, std::memory_order_release); }
  std::atomic<bool>& busy;
};

class Pool {
 public:
  void run(Job& job) {
    if (job.count < 2 || wanted_.load() < 2 || busy_.exchange(true, std::memory_order_acquire)) {
      Share all;
      job.divide(&all, 1);
      job.work(0);
      return;
    }
    const Owner owner(busy_);
    resize(wanted_.load() - 1);
    job.divide(shares_.data(), threads_.size() + 1);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      job_ = &job;
      generation_++;
    }
    wake_.notify_all();
    job.work(0);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      job_ = nullptr;  // a thread that comes only now has nothing to do
    }
    waitUntil(idle_, [this] { return working_.load() == 0; });
  }

  void setThreads(int threads) { wanted_.store(threads); }
  int threads() const { return wanted_.load(); }

  void retain() { environments_.fetch_add(1); }

  void release() {
    if (environments_.fetch_sub(1) > 1) return;
    while (busy_.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
    const Owner owner(busy_);
    resize(0);
  }

 private:
  // Only for the owner of busy_. Starting a thread may fail: then those there are do the work.
  void resize(int threads) {
    uint64_t generation;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      keep_ = threads;
      generation = generation_;
    }
    if (static_cast<int>(threads_.size()) > threads) wake_.notify_all();
    while (static_cast<int>(threads_.size()) > threads) {
      threads_.back().join();
      threads_.pop_back();
    }
    try {
      while (static_cast<int>(threads_.size()) < threads) {
        threads_.emplace_back(&Pool::serve, this, static_cast<int>(threads_.size()), generation);
      }
    } catch (const std::system_error&) {
    }
    if (shares_.size() <= threads_.size()) shares_ = std::vector<Share>(threads_.size() + 1);
  }

  void serve(int number, uint64_t seen) {
    for (;;) {
      auto lock = waitUntil(wake_, [&] { return generation_.load() != seen || number >= keep_.load(); });
      if (number >= keep_.load()) return;
      seen = generation_.load();
      Job* const job = job_;
      if (!job) continue;
      working_++;
      lock.unlock();
      job->work(number + 1);
      lock.lock();
      if (--working_ == 0) idle_.notify_all();
    }
  }

  // Returns with mutex_ held. Awake at first, giving the core to any other thread that has work for it.
  template <typename Done>
  std::unique_lock<std::mutex> waitUntil(std::condition_variable& changed, const Done& done) {
    const auto start = std::chrono::steady_clock::now();
    while (!done() && std::chrono::steady_clock::now() - start < kAwake) std::this_thread::yield();
    std::unique_lock<std::mutex> lock(mutex_);
    changed.wait(lock, done);
    return lock;
  }

  std::atomic<bool> busy_{false};
  std::atomic<int> wanted_{1};
  std::atomic<int> environments_{0};
  std::vector<std::thread> threads_;  // guarded by busy_
  std::vector<Share> shares_;         // the caller's first; guarded by busy_

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_, idle_;
  Job* job_ = nullptr;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> working_{0};
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

int poolThreads() { return pool().threads(); }

void runPanels(int64_t count, void (*panel)(const void*, int64_t), const void* context) {
  Job job;
  job.count = count;
  job.panel = panel;
  job.context = context;
  pool().run(job);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace lockstep
