// JavaScript functions of the flat-vector operations: gradients, parameters and their wire formats.
#include "bindings.h"
#include "call.h"

namespace lockstep {
namespace {

napi_value add(const Arguments& a) {
  const int64_t count = a.count(3, "count");
  a.perform(&Operations::add, a.floats(0, "out", count), a.activations(1, "a", count), a.activations(2, "b", count),
            count, a.flag(4, "bfloat16"));
  return nullptr;
}

napi_value roundToBfloat16(const Arguments& a) {
  const int64_t count = a.count(1, "count");
  a.perform(&Operations::roundToBfloat16, a.floats(0, "values", count), count);
  return nullptr;
}

napi_value packBfloat16(const Arguments& a) {
  const int64_t count = a.count(2, "count");
  a.perform(&Operations::packBfloat16, a.floats(0, "values", count), a.halves(1, "out", count), count);
  return nullptr;
}

napi_value unpackBfloat16(const Arguments& a) {
  const int64_t count = a.count(2, "count");
  a.perform(&Operations::unpackBfloat16, a.halves(0, "values", count), a.floats(1, "out", count), count);
  return nullptr;
}

napi_value sumOfSquares(const Arguments& a) {
  const int64_t count = a.count(1, "count");
  napi_value result;
  napi_create_double(a.env(), a.compute(&Operations::sumOfSquares, a.floats(0, "values", count), count), &result);
  return result;
}

napi_value adamW(const Arguments& a) {
  const int64_t count = a.count(4, "count");
  a.perform(&Operations::adamW, a.floats(0, "parameters", count), a.floats(1, "moment1", count),
            a.floats(2, "moment2", count), a.floats(3, "gradient", count), count, a.ranges(5, "undecayed", count), a.adamW(6));
  return nullptr;
}

}  // namespace

void bindVectorOperations(napi_env env, napi_value target, const Callee& callee) {
  define<add>(env, target, "add", callee);
  define<roundToBfloat16>(env, target, "roundToBfloat16", callee);
  define<packBfloat16>(env, target, "packBfloat16", callee);
  define<unpackBfloat16>(env, target, "unpackBfloat16", callee);
  if (!callee.queue) define<sumOfSquares>(env, target, "sumOfSquares", callee);
  define<adamW>(env, target, "adamW", callee);
}

}  // namespace lockstep
