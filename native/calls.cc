// See calls.h.
#include "calls.h"

namespace lockstep {

void Queue::run(int64_t count) {
  for (; count > 0 && !waiting_.empty(); count--) {
    try {
      const Stopwatch time(*waiting_.front().function);
      waiting_.front().call();
    } catch (...) {
      waiting_.clear();
      throw;
    }
    waiting_.pop_front();
  }
}

Environment& Environment::of(napi_env env) {
  void* found = nullptr;
  napi_get_instance_data(env, &found);
  if (!found) {
    found = new Environment;
    const auto end = [](napi_env, void* made, void*) { delete static_cast<Environment*>(made); };
    napi_set_instance_data(env, found, end, nullptr);
  }
  return *static_cast<Environment*>(found);
}

}  // namespace lockstep
