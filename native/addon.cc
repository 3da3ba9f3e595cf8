// The addon's entry: what build/lockstep.node exports. Types and meaning: src/engine/native/addon.ts.
#include <node_api.h>

#include <type_traits>

#include "bindings.h"
#include "call.h"
#include "field.h"
#include "memory.h"
#include "pool.h"
#include "product.h"
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
  set("matmul", productLibrary());
  set("oneDnnVersion", productVersion());
  set("matmulIsa", productIsa());
  set("compiler", "g++ " __VERSION__);
  napi_value hasBfloat16;
  napi_get_boolean(a.env(), multipliesBfloat16(), &hasBfloat16);
  napi_set_named_property(a.env(), result, "bfloat16", hasBfloat16);
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
  if (name != "sse2" && name != "avx2" && name != "avx512") {
    throw ArgumentError(true, "isa: expected sse2, avx2 or avx512, got " + name);
  }
  chooseIsa(name);
  return text(a.env(), kernels().isa);
}

// ---- for tests: the functions that kernels are made of, over arrays

napi_value exponential(const Arguments& a) {
  const int64_t count = a.length(0, "x");
  kernels().exponential(a.floats(0, "x", 0), a.floats(1, "out", count), count);
  return nullptr;
}

napi_value normalCdf(const Arguments& a) {
  const int64_t count = a.length(0, "x");
  kernels().normalCdf(a.floats(0, "x", 0), a.floats(1, "out", count), count);
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

// Our own matrix product, whatever library multiplies in this build.
napi_value product(const Arguments& a) {
  const int64_t m = a.size(3, "m"), k = a.size(4, "k"), n = a.size(5, "n");
  const bool transposeA = a.flag(6, "transposeA"), transposeB = a.flag(7, "transposeB");
  if (m > kProductRows) throw ArgumentError(true, "m: expected one panel's rows at most");
  const Matrix<float> left = {a.floats(0, "a", sizeOf(m, k)), transposeA ? 1 : k, transposeA ? m : 1};
  const Matrix<float> right = {a.floats(1, "b", sizeOf(k, n)), transposeB ? 1 : n, transposeB ? k : 1};
  float* const buffer = scratch(Slot::kernel, kProductScratch);
  kernels().product(left, right, a.floats(2, "c", sizeOf(m, n)), n, m, k, n, false, buffer);
  return nullptr;
}

// One product by the matrix product of this build, on this thread, of float32 or bfloat16: what a training step's products
// could reach at best.
napi_value libraryProduct(const Arguments& a) {
  const int64_t m = a.size(3, "m"), k = a.size(4, "k"), n = a.size(5, "n");
  const bool transposeA = a.flag(6, "transposeA"), transposeB = a.flag(7, "transposeB");
  float* const c = a.floats(2, "c", sizeOf(m, n));
  const auto run = [=](auto* left, auto* right) {
    using Element = std::remove_const_t<std::remove_pointer_t<decltype(left)>>;
    multiply(Matrix<Element>{left, transposeA ? 1 : k, transposeA ? m : 1},
             Matrix<Element>{right, transposeB ? 1 : n, transposeB ? k : 1}, c, n, m, k, n, false);
  };
  if (a.precision(8, "precision") == Precision::bfloat16) {
    run(a.halves(0, "a", sizeOf(m, k)), a.halves(1, "b", sizeOf(k, n)));
  } else {
    run(a.floats(0, "a", sizeOf(m, k)), a.floats(1, "b", sizeOf(k, n)));
  }
  return nullptr;
}

napi_value initialise(napi_env env, napi_value exports) {
  // Once per environment, main thread or worker: see pool.h.
  retainPool();
  keepFreedMemory();
  napi_add_env_cleanup_hook(env, [](void*) { releasePool(); }, nullptr);

  define<info>(env, exports, "info", nullptr);
  define<setThreads>(env, exports, "setThreads", nullptr);
  define<setIsa>(env, exports, "setIsa", nullptr);
  bindMemory(env, exports);
  bindModelOperations(env, exports, fastOperations());
  bindVectorOperations(env, exports, fastOperations());

  napi_value naive;
  napi_create_object(env, &naive);
  bindModelOperations(env, naive, naiveOperations());
  bindVectorOperations(env, naive, naiveOperations());
  napi_set_named_property(env, exports, "naive", naive);

  napi_value cuda;
  napi_create_object(env, &cuda);
  bindCuda(env, cuda);
  napi_set_named_property(env, exports, "cuda", cuda);

  napi_value elementary;
  napi_create_object(env, &elementary);
  define<exponential>(env, elementary, "exponential", nullptr);
  define<normalCdf>(env, elementary, "normalCdf", nullptr);
  define<dropoutFactors>(env, elementary, "dropoutFactors", nullptr);
  define<product>(env, elementary, "product", nullptr);
  define<libraryProduct>(env, elementary, "libraryProduct", nullptr);
  napi_set_named_property(env, exports, "elementary", elementary);
  return exports;
}

}  // namespace

}  // namespace lockstep

NAPI_MODULE_INIT() { return lockstep::initialise(env, exports); }
