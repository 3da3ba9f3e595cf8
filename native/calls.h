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

// Whose operations a JavaScript function calls (none: it is no operation), and where its calls wait (nowhere: they do not).
struct Table {
  const Operations* operations = nullptr;
  Queue* queue = nullptr;
};

struct Function {
  const char* name;
  Table table;
  // Of all its calls that ended since they were last asked for.
  int64_t ended = 0;
  double seconds = 0;
};

// Adds the time until it ends to a function's.
class Stopwatch {
 public:
  explicit Stopwatch(Function& function) : function_(function) {}
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() {
    function_.ended++;
    function_.seconds += std::chrono::duration<double>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Function& function_;
  const Clock::time_point start_ = Clock::now();
};

class Queue {
 public:
  void push(Function& function, std::function<void()> call) { waiting_.push_back({&function, std::move(call)}); }
  // Makes the first `count` of those that wait, in their order. Once one throws nothing waits any more.
  void run(int64_t count);

 private:
  struct Waiting {
    Function* function;
    std::function<void()> call;
  };
  std::deque<Waiting> waiting_;
};

// What an environment's JavaScript functions refer to: it lives as long as they do.
class Environment {
 public:
  static Environment& of(napi_env env);

  // `name` is a literal.
  Function& addFunction(const char* name, const Table& table) { return functions_.emplace_back(Function{name, table}); }
  Queue& addQueue() { return queues_.emplace_back(); }
  std::deque<Function>& functions() { return functions_; }

 private:
  std::deque<Function> functions_;
  std::deque<Queue> queues_;
};

}  // namespace lockstep
