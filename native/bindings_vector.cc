// JavaScript functions of the flat-vector operations: gradients, parameters and their wire formats.
#include "bindings.h"
#include "call.h"

namespace lockstep {
namespace {

napi_value add(const Arguments& a) {
  const int64_t count = a.count(3, "count");
  a.operations().add(a.floats(0, "out", count), a.activations(1, "a", count), a.activations(2, "b", count), count,
                     a.flag(4, "bfloat16"));
  return nullptr;
}

napi_value roundToBfloat16(const Arguments& a) {
  const int64_t count = a.count(1, "count");
  a.operations().roundToBfloat16(a.floats(0, "values", count), count);
  return nullptr;
}

napi_value packBfloat16(const Arguments& a) {
  const int64_t count = a.count(2, "count");
  a.operations().packBfloat16(a.floats(0, "values", count), a.halves(1, "out", count), count);
  return nullptr;
}

napi_value unpackBfloat16(const Arguments& a) {
  const int64_t count = a.count(2, "count");
  a.operations().unpackBfloat16(a.halves(0, "values", count), a.floats(1, "out", count), count);
  return nullptr;
}

napi_value sumOfSquares(const Arguments& a) {
  const int64_t count = a.count(1, "count");
  napi_value result;
  napi_create_double(a.env(), a.operations().sumOfSquares(a.floats(0, "values", count), count), &result);
  return result;
}

napi_value adamW(const Arguments& a) {
  const int64_t count = a.count(4, "count");
  a.operations().adamW(a.floats(0, "parameters", count), a.floats(1, "moment1", count),
                       a.floats(2, "moment2", count), a.floats(3, "gradient", count), count, a.adamW(5));
  return nullptr;
}

}  // namespace

void bindVectorOperations(napi_env env, napi_value target, const Operations& operations) {
  define<add>(env, target, "add", &operations);
  define<roundToBfloat16>(env, target, "roundToBfloat16", &operations);
  define<packBfloat16>(env, target, "packBfloat16", &operations);
  define<unpackBfloat16>(env, target, "unpackBfloat16", &operations);
  define<sumOfSquares>(env, target, "sumOfSquares", &operations);
  define<adamW>(env, target, "adamW", &operations);
}

}  // namespace lockstep
