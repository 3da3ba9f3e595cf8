// The calls that one JavaScript environment (main thread or worker) makes of operations. A call is made at once or, through
// the functions of a queue, waits for its run(): hundreds of them are then made one after the other, without JavaScript between.
#pragma once

#include <node_api.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

#include "operations.h"

namespace lockstep {

class Queue;

// The operations that a JavaScript function calls one of, if it does, and the queue that its calls wait in, if they wait.
struct Callee {
  const Operations* operations = nullptr;
  Queue* queue = nullptr;
};

struct BoundFunction {
  const char* name;  // a literal
  Callee callee;
  // That ended since they were last asked for, and what they took together.
  int64_t calls = 0;
  double seconds = 0;
};

// Adds the time until it ends to a function's.
class Stopwatch {
 public:
  explicit Stopwatch(BoundFunction& function) : function_(function) {}
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() {
    function_.calls++;
    function_.seconds += std::chrono::duration<double>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  BoundFunction& function_;
  const Clock::time_point start_ = Clock::now();
};

class Queue {
 public:
  void push(BoundFunction& function, std::function<void()> call) { waiting_.push_back({&function, std::move(call)}); }
  // Makes the first `count` of those that wait, in their order. Once one throws nothing waits any more.
  void run(int64_t count);

 private:
  struct Waiting {
    BoundFunction* function;
    std::function<void()> call;
  };
  std::deque<Waiting> waiting_;
};

// What an environment's JavaScript functions refer to: it lives as long as they do.
class Environment {
 public:
  static Environment& of(napi_env env);

  BoundFunction& addFunction(const char* name, const Callee& callee) {
    return functions_.emplace_back(BoundFunction{name, callee});
  }
  Queue& addQueue() { return queues_.emplace_back(); }
  std::deque<BoundFunction>& functions() { return functions_; }

 private:
  std::deque<BoundFunction> functions_;
  std::deque<Queue> queues_;
};

}  // namespace lockstep
