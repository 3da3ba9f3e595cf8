// See calls.h.
#include "calls.h"

namespace lockstep {

void Queue::run(int64_t count) {
  for (; count > 0 && !waiting_.empty(); count--) {
    try {
      waiting_.front()->make();
    } catch (...) {
      waiting_.clear();
      throw;
    }
    waiting_.pop_front();
  }
}

void submit(const std::shared_ptr<const Call>& call) {
  Queue* const queue = call->function().callee.queue;
  if (queue) queue->push(call);
  else call->make();
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
