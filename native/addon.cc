// The addon's entry: what build/lockstep.node exports. Types and meaning: src/engine/native/addon.ts.
#include <node_api.h>

#include <cstdlib>
#include <cstring>

#include "bindings.h"
#include "call.h"

namespace lockstep {
namespace {

void setText(napi_env env, napi_value target, const char* name, const char* text) {
  napi_value value;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, target, name, value);
}

napi_value info(const Arguments& a) {
  napi_value result;
  napi_create_object(a.env(), &result);
  setText(a.env(), result, "isa", "sse2");
  setText(a.env(), result, "matmul", "portable");
  setText(a.env(), result, "oneDnnVersion", "");
  setText(a.env(), result, "compiler", "g++ " __VERSION__);
  return result;
}

napi_value setThreads(const Arguments& a) {
  if (a.size(0, "threads") < 1) throw ArgumentError(true, "threads: expected at least 1");
  return nullptr;
}

napi_value setIsa(const Arguments& a) {
  a.text(0, "isa");
  napi_value result;
  napi_create_string_utf8(a.env(), "sse2", NAPI_AUTO_LENGTH, &result);
  return result;
}

// The memory belongs to the ArrayBuffer: the finalizer runs when it is collected, or when the environment ends.
napi_value allocate(const Arguments& a) {
  const size_t bytes = static_cast<size_t>(a.count(0, "bytes"));
  napi_value result;
  void* memory = nullptr;
  if (posix_memalign(&memory, 64, bytes ? bytes : 64) != 0) throw std::bad_alloc();
  std::memset(memory, 0, bytes);
  const auto release = [](napi_env, void* data, void*) { std::free(data); };
  if (napi_create_external_arraybuffer(a.env(), memory, bytes, release, nullptr, &result) != napi_ok) {
    std::free(memory);
    throw std::runtime_error("this runtime allows no external ArrayBuffer");
  }
  return result;
}

napi_value initialise(napi_env env, napi_value exports) {
  define<info>(env, exports, "info", nullptr);
  define<setThreads>(env, exports, "setThreads", nullptr);
  define<setIsa>(env, exports, "setIsa", nullptr);
  define<allocate>(env, exports, "allocate", nullptr);
  bindModelOperations(env, exports, fastOperations());
  bindVectorOperations(env, exports, fastOperations());

  napi_value naive;
  napi_create_object(env, &naive);
  bindModelOperations(env, naive, naiveOperations());
  bindVectorOperations(env, naive, naiveOperations());
  napi_set_named_property(env, exports, "naive", naive);
  return exports;
}

}  // namespace

const Operations& fastOperations() { return naiveOperations(); }

}  // namespace lockstep

NAPI_MODULE_INIT() { return lockstep::initialise(env, exports); }
