// The calls that one JavaScript environment (main thread or worker) makes of operations. A call is made at once or, through
// the functions of a queue, waits for its run(): hundreds of them are then made one after the other, without JavaScript between.
// Calls can be kept, and made again.
#pragma once

#include <node_api.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

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
  // Calls that ended since kernelTimes() was last asked, and their seconds together.
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

// A call with its arguments, which were checked.
class Call {
 public:
  explicit Call(BoundFunction& function) : function_(function) {}
  virtual ~Call() = default;

  void make() const {
    const Stopwatch time(function_);
    perform();
  }
  // Reads indices once more, and checks them; and takes another key of dropout.
  virtual void renew(const DropoutKey& key) = 0;

  BoundFunction& function() const { return function_; }

 private:
  virtual void perform() const = 0;

  BoundFunction& function_;
};

class Queue {
 public:
  void push(std::shared_ptr<const Call> call) { waiting_.push_back(std::move(call)); }
  // Makes the first `count` of those that wait, in their order. Once one throws nothing waits any more.
  void run(int64_t count);

 private:
  std::deque<std::shared_ptr<const Call>> waiting_;
};

// Makes a call now, or has it wait where its function's calls do.
void submit(const std::shared_ptr<const Call>& call);

// In their order.
using KeptCalls = std::vector<std::shared_ptr<Call>>;

// What an environment's JavaScript functions refer to: it lives as long as they do.
class Environment {
 public:
  static Environment& of(napi_env env);

  BoundFunction& addFunction(const char* name, const Callee& callee) {
    return functions_.emplace_back(BoundFunction{name, callee});
  }
  Queue& addQueue() { return queues_.emplace_back(); }
  std::deque<BoundFunction>& functions() { return functions_; }

  // Where the calls of queues and devices are kept as they are asked for, or null.
  std::shared_ptr<KeptCalls> kept;

 private:
  std::deque<BoundFunction> functions_;
  std::deque<Queue> queues_;
};

}  // namespace lockstep
