// The addon's entry: what build/lockstep.node exports. Types and meaning: src/engine/native/addon.ts.
#include <node_api.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "bindings.h"
#include "call.h"
#include "field.h"
#include "memory.h"
#include "pool.h"
#include "scratch.h"
#include "select.h"

namespace lockstep {
namespace {

napi_value text(napi_env env, const char* text) {
  napi_value value;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  return value;
}

napi_value info(const Arguments& a) {
  napi_value result;
  napi_create_object(a.env(), &result);
  const auto set = [&](const char* name, const char* value) {
    napi_set_named_property(a.env(), result, name, text(a.env(), value));
  };
  set("isa", kernels().isa);
  set("best", bestKernels().isa);
  set("compiler", "g++ " __VERSION__);
  return result;
}

napi_value setThreads(const Arguments& a) {
  const int64_t threads = a.size(0, "threads");
  if (threads < 1 || threads > 1024) throw ArgumentError(true, "threads: expected 1 to 1024");
  setPoolThreads(static_cast<int>(threads));
  return nullptr;
}

napi_value setIsa(const Arguments& a) {
  const std::string name = a.text(0, "isa");
  const auto end = std::end(kInstructionSets);
  if (std::find(std::begin(kInstructionSets), end, name) == end) throw ArgumentError(true, "isa: there is no " + name);
  chooseIsa(name);
  return text(a.env(), kernels().isa);
}

// run(count)
napi_value run(const Arguments& a) {
  a.queue()->run(a.size(0, "count"));
  return nullptr;
}

napi_value makeQueue(const Arguments& a) {
  Queue& queue = Environment::of(a.env()).addQueue();
  napi_value result, kernels;
  napi_create_object(a.env(), &result);
  napi_create_object(a.env(), &kernels);
  bindOperations(a.env(), kernels, {&fastOperations(), &queue});
  napi_set_named_property(a.env(), result, "kernels", kernels);
  define<run>(a.env(), result, "run", {nullptr, &queue});
  return result;
}

// A handle of calls that can be made again; JavaScript's garbage collection ends it.
using Handle = std::shared_ptr<KeptCalls>;

Handle& handle(const Arguments& a, int index) { return *static_cast<Handle*>(a.external(index, "calls")); }

// makeKeptCalls()
napi_value makeKeptCalls(const Arguments& a) {
  const auto end = [](napi_env, void* made, void*) { delete static_cast<Handle*>(made); };
  napi_value result;
  napi_create_external(a.env(), new Handle(std::make_shared<KeptCalls>()), end, nullptr, &result);
  return result;
}

// keepCalls(calls or null)
napi_value keepCalls(const Arguments& a) {
  Environment::of(a.env()).kept = a.isNull(0) ? nullptr : handle(a, 0);
  return nullptr;
}

// renewCalls(calls, key) -> how many they are
napi_value renewCalls(const Arguments& a) {
  const KeptCalls& calls = *handle(a, 0);
  const DropoutKey key = a.dropoutKey(1, "key");
  for (const std::shared_ptr<Call>& call : calls) call->renew(key);
  napi_value count;
  napi_create_double(a.env(), static_cast<double>(calls.size()), &count);
  return count;
}

// repeatCalls(calls, first, count)
napi_value repeatCalls(const Arguments& a) {
  const KeptCalls& calls = *handle(a, 0);
  const int64_t first = a.size(1, "first"), count = a.size(2, "count");
  if (first + count > static_cast<int64_t>(calls.size())) throw ArgumentError(true, "there are not so many calls");
  for (int64_t i = first; i < first + count; i++) submit(calls[i]);
  return nullptr;
}

napi_value timeOf(napi_env env, const BoundFunction& function) {
  napi_value result, calls, seconds;
  napi_create_object(env, &result);
  napi_create_double(env, static_cast<double>(function.calls), &calls);
  napi_create_double(env, function.seconds, &seconds);
  napi_set_named_property(env, result, "name", text(env, function.name));
  napi_set_named_property(env, result, "calls", calls);
  napi_set_named_property(env, result, "seconds", seconds);
  return result;
}

napi_value kernelTimes(const Arguments& a) {
  napi_value result;
  napi_create_array(a.env(), &result);
  uint32_t entries = 0;
  for (BoundFunction& function : Environment::of(a.env()).functions()) {
    if (function.calls == 0) continue;
    napi_set_element(a.env(), result, entries++, timeOf(a.env(), function));
    function.calls = 0;
    function.seconds = 0;
  }
  return result;
}

// ---- for tests: the functions that kernels are made of, over arrays

napi_value exponential(const Arguments& a) {
  const int64_t count = a.length(0, "x");
  kernels().exponential(a.floats(0, "x", 0), a.floats(1, "out", count), count);
  return nullptr;
}

napi_value dropoutFactors(const Arguments& a) {
  const int64_t first = a.count(1, "first"), count = a.length(0, "out");
  const DropoutField field = fieldOf(a.dropout(2));
  if (!field.active) throw ArgumentError(true, "dropout.rate: expected more than 0");
  float* const buffer = scratch(Slot::kernel, dropoutScratch(count));
  kernels().dropoutFactors(field, first, count, a.floats(0, "out", 0), buffer);
  return nullptr;
}

napi_value initialise(napi_env env, napi_value exports) {
  // Once per environment, main thread or worker: see pool.h.
  retainPool();
  keepFreedMemory();
  napi_add_env_cleanup_hook(env, [](void*) { releasePool(); }, nullptr);

  define<info>(env, exports, "info");
  define<setThreads>(env, exports, "setThreads");
  define<setIsa>(env, exports, "setIsa");
  bindMemory(env, exports);
  define<makeQueue>(env, exports, "makeQueue");
  define<makeKeptCalls>(env, exports, "makeKeptCalls");
  define<keepCalls>(env, exports, "keepCalls");
  define<renewCalls>(env, exports, "renewCalls");
  define<repeatCalls>(env, exports, "repeatCalls");
  define<kernelTimes>(env, exports, "kernelTimes");
  bindOperations(env, exports, {&fastOperations()});

  napi_value naive;
  napi_create_object(env, &naive);
  bindOperations(env, naive, {&naiveOperations()});
  napi_set_named_property(env, exports, "naive", naive);

  napi_value cuda;
  napi_create_object(env, &cuda);
  bindCuda(env, cuda);
  napi_set_named_property(env, exports, "cuda", cuda);

  napi_value elementary;
  napi_create_object(env, &elementary);
  define<exponential>(env, elementary, "exponential");
  define<dropoutFactors>(env, elementary, "dropoutFactors");
  napi_set_named_property(env, exports, "elementary", elementary);
  return exports;
}

}  // namespace

}  // namespace lockstep

NAPI_MODULE_INIT() { return lockstep::initialise(env, exports); }
