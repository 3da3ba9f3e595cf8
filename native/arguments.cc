// Reading and checking of JavaScript arguments. See arguments.h.
#include "arguments.h"

#include <cmath>

namespace lockstep {

int64_t sizeOf(int64_t a, int64_t b, int64_t c) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product) || __builtin_mul_overflow(product, c, &product)) {
    throw ArgumentError(true, "sizes multiply to more elements than an array can have");
  }
  return product;
}

namespace {

constexpr double kMostOfWord = 4294967295.0;

void expectLength(const char* name, int64_t length, int64_t least) {
  if (length >= least) return;
  throw ArgumentError(true, std::string(name) + ": expected at least " + std::to_string(least) + " elements, got " +
                                std::to_string(length));
}

}  // namespace

Arguments::Arguments(napi_env env, napi_callback_info info) : env_(env) {
  size_t given = kMostArguments;
  void* data = nullptr;
  // Arguments that were not given are filled with undefined, which every reader below refuses.
  napi_get_cb_info(env, info, &given, values_, nullptr, &data);
  function_ = static_cast<BoundFunction*>(data);
}

void Arguments::submitAndKeep(const std::shared_ptr<Call>& call) const {
  submit(call);
  const auto& kept = Environment::of(env_).kept;
  if (kept && (queue() || onDevice())) kept->push_back(call);
}

void* Arguments::array(int index, const char* name, napi_typedarray_type type, const char* typeName,
                       int64_t least, bool optional) const {
  if (optional && isNull(index)) return nullptr;
  int64_t length;
  if (onDevice()) return deviceArray(index, name, least, &length);
  void* const data = hostArray(index, name, type, typeName, optional, &length);
  expectLength(name, length, least);
  return data;
}

void* Arguments::hostArray(int index, const char* name, napi_typedarray_type type, const char* typeName,
                           bool optional, int64_t* length) const {
  bool isArray = false;
  napi_is_typedarray(env_, values_[index], &isArray);
  napi_typedarray_type found;
  size_t elements = 0;
  void* data = nullptr;
  if (!isArray ||
      napi_get_typedarray_info(env_, values_[index], &found, &elements, &data, nullptr, nullptr) != napi_ok ||
      found != type) {
    throw ArgumentError(false, std::string(name) + ": expected a " + typeName + (optional ? " or null" : ""));
  }
  *length = static_cast<int64_t>(elements);
  return data;
}

void* Arguments::deviceArray(int index, const char* name, int64_t least, int64_t* length) const {
  const double address = propertyNumber(index, name, "address");
  *length = asInteger(propertyNumber(index, name, "length"), std::string(name) + ".length", 9007199254740992.0);
  expectLength(name, *length, least);
  return reinterpret_cast<void*>(static_cast<uintptr_t>(address));
}

bool Arguments::isNull(int index) const {
  napi_valuetype kind;
  napi_typeof(env_, values_[index], &kind);
  return kind == napi_null;
}

float* Arguments::floats(int index, const char* name, int64_t least) const {
  return static_cast<float*>(array(index, name, napi_float32_array, "Float32Array", least, false));
}

float* Arguments::floatsOrNull(int index, const char* name, int64_t least) const {
  return static_cast<float*>(array(index, name, napi_float32_array, "Float32Array", least, true));
}

bool Arguments::isHalves(int index) const {
  bool isArray = false;
  napi_is_typedarray(env_, values_[index], &isArray);
  napi_typedarray_type type;
  return isArray && napi_get_typedarray_info(env_, values_[index], &type, nullptr, nullptr, nullptr, nullptr) == napi_ok &&
         type == napi_uint16_array;
}

Activations Arguments::activations(int index, const char* name, int64_t least) const {
  if (isHalves(index)) return {halves(index, name, least), Format::bfloat16};
  return lockstep::activations(floats(index, name, least));
}

Activations Arguments::activationsOrNone(int index, const char* name, int64_t least) const {
  return isNull(index) ? kNone : activations(index, name, least);
}

void Indices::read() {
  for (size_t i = 0; i < copy_.size(); i++) {
    const int32_t value = source_[i];
    if (value < 0 || value >= limit_) {
      throw ArgumentError(true, std::string(name_) + ": element " + std::to_string(i) + " is " + std::to_string(value) +
                                    ", expected 0 to " + std::to_string(limit_ - 1));
    }
    copy_[i] = value;
  }
}

const int32_t* Arguments::indices(int index, const char* name, int64_t count, int64_t limit) const {
  const auto values = static_cast<const int32_t*>(array(index, name, napi_int32_array, "Int32Array", count, false));
  if (onDevice()) return values;
  return indices_.emplace_back(name, values, count, limit).data();
}

Ranges Arguments::ranges(int index, const char* name, int64_t count) const {
  int64_t length;
  const auto bounds = static_cast<const int32_t*>(hostArray(index, name, napi_int32_array, "Int32Array", false, &length));
  bool areAscending = length % 2 == 0;
  for (int64_t i = 0; i < length; i++) areAscending &= bounds[i] <= count && bounds[i] >= (i == 0 ? 0 : bounds[i - 1]);
  if (!areAscending) {
    throw ArgumentError(true, std::string(name) + ": expected ascending pairs of bounds from 0 to " + std::to_string(count));
  }
  return {bounds, length / 2};
}

uint16_t* Arguments::halves(int index, const char* name, int64_t least) const {
  return static_cast<uint16_t*>(array(index, name, napi_uint16_array, "Uint16Array", least, false));
}

const uint8_t* Arguments::bytes(int index, const char* name, int64_t* length) const {
  void* const data = array(index, name, napi_uint8_array, "Uint8Array", 0, false);
  size_t bytes = 0;
  napi_get_typedarray_info(env_, values_[index], nullptr, &bytes, nullptr, nullptr, nullptr);
  *length = static_cast<int64_t>(bytes);
  return static_cast<const uint8_t*>(data);
}

napi_value Arguments::bufferOf(int index, const char* name) const {
  array(index, name, napi_uint8_array, "Uint8Array", 0, false);
  napi_value buffer;
  napi_get_typedarray_info(env_, values_[index], nullptr, nullptr, nullptr, &buffer, nullptr);
  return buffer;
}

int64_t Arguments::length(int index, const char* name) const {
  if (onDevice()) {
    int64_t length;
    deviceArray(index, name, 0, &length);
    return length;
  }
  floats(index, name, 0);
  size_t length = 0;
  napi_get_typedarray_info(env_, values_[index], nullptr, &length, nullptr, nullptr, nullptr);
  return static_cast<int64_t>(length);
}

double Arguments::asNumber(napi_value value, const std::string& name) const {
  double number;
  if (napi_get_value_double(env_, value, &number) != napi_ok) {
    throw ArgumentError(false, name + ": expected a number");
  }
  return number;
}

int64_t Arguments::asInteger(double value, const std::string& name, double limit) const {
  if (!(value >= 0 && value <= limit) || value != std::floor(value)) {
    throw ArgumentError(true, name + ": expected an integer from 0 to " +
                                  std::to_string(static_cast<int64_t>(limit)) + ", got " +
                                  std::to_string(value));
  }
  return static_cast<int64_t>(value);
}

double Arguments::number(int index, const char* name) const { return asNumber(values_[index], name); }

int64_t Arguments::size(int index, const char* name) const {
  return asInteger(number(index, name), name, 2147483647.0);
}

int64_t Arguments::idOrNone(int index, const char* name) const {
  return number(index, name) == -1 ? -1 : size(index, name);
}

int64_t Arguments::count(int index, const char* name) const {
  return asInteger(number(index, name), name, 9007199254740992.0);
}

bool Arguments::flag(int index, const char* name) const {
  bool value;
  if (napi_get_value_bool(env_, values_[index], &value) != napi_ok) {
    throw ArgumentError(false, std::string(name) + ": expected a boolean");
  }
  return value;
}

std::string Arguments::text(int index, const char* name) const {
  char buffer[4096];
  size_t length = 0;
  if (napi_get_value_string_utf8(env_, values_[index], buffer, sizeof buffer, &length) != napi_ok) {
    throw ArgumentError(false, std::string(name) + ": expected a string");
  }
  return std::string(buffer, length);
}

void* Arguments::external(int index, const char* name) const {
  void* found = nullptr;
  if (napi_get_value_external(env_, values_[index], &found) != napi_ok) {
    throw ArgumentError(false, std::string(name) + ": expected what the addon made");
  }
  return found;
}

Activation Arguments::activation(int index, const char* name) const {
  return static_cast<Activation>(asInteger(number(index, name), name, static_cast<int>(Activation::swish)));
}

Precision Arguments::precision(int index, const char* name) const { return asPrecision(number(index, name), name); }

Precision Arguments::asPrecision(double value, const std::string& name) const {
  return static_cast<Precision>(asInteger(value, name, static_cast<int>(Precision::bfloat16x6)));
}

napi_value Arguments::property(napi_value object, const char* owner, const char* name) const {
  napi_valuetype kind;
  napi_typeof(env_, object, &kind);
  napi_value value;
  if (kind != napi_object || napi_get_named_property(env_, object, name, &value) != napi_ok) {
    throw ArgumentError(false, std::string(owner) + ": expected an object");
  }
  return value;
}

napi_value Arguments::property(int index, const char* owner, const char* name) const {
  return property(values_[index], owner, name);
}

double Arguments::propertyNumber(int index, const char* owner, const char* name) const {
  return asNumber(property(index, owner, name), std::string(owner) + "." + name);
}

int64_t Arguments::propertySize(int index, const char* owner, const char* name) const {
  return asInteger(propertyNumber(index, owner, name), std::string(owner) + "." + name, 2147483647.0);
}

Dropout Arguments::dropout(int index) const {
  Dropout spec = {propertyNumber(index, "dropout", "rate"), 0, {}};
  if (!(spec.rate >= 0 && spec.rate < 1)) {
    throw ArgumentError(true, "dropout.rate: expected 0 <= rate < 1, got " + std::to_string(spec.rate));
  }
  if (spec.rate == 0) return spec;
  spec.site = asInteger(propertyNumber(index, "dropout", "site"), "dropout.site", kMostOfWord);
  spec.key = keyOf(property(index, "dropout", "key"), "dropout.key");
  return spec;
}

DropoutKey Arguments::dropoutKey(int index, const char* name) const { return keyOf(values_[index], name); }

DropoutKey Arguments::keyOf(napi_value key, const char* owner) const {
  const auto part = [&](const char* name, double limit) {
    const std::string path = std::string(owner) + "." + name;
    return asInteger(asNumber(property(key, owner, name), path), path, limit);
  };
  DropoutKey found;
  found.seed = part("seed", 9007199254740991.0);
  found.step = part("step", kMostOfWord);
  found.microBatch = part("microBatch", kMostOfWord);
  return found;
}

AttentionShape Arguments::attentionShape(int index) const {
  const auto size = [&](const char* name) { return propertySize(index, "shape", name); };
  AttentionShape shape;
  shape.batch = size("batch");
  shape.queries = size("queries");
  shape.keys = size("keys");
  shape.heads = size("heads");
  shape.headWidth = size("headWidth");
  shape.qOffset = size("qOffset");
  shape.qStride = size("qStride");
  shape.kOffset = size("kOffset");
  shape.vOffset = size("vOffset");
  shape.kvStride = size("kvStride");
  const int64_t width = sizeOf(shape.heads, shape.headWidth);
  if (shape.qStride < width || shape.kvStride < width) {
    throw ArgumentError(true, "shape: a row stride is smaller than heads * headWidth");
  }
  shape.precision = asPrecision(propertyNumber(index, "shape", "precision"), "shape.precision");
  if (napi_get_value_bool(env_, property(index, "shape", "causal"), &shape.causal) != napi_ok) {
    throw ArgumentError(false, "shape.causal: expected a boolean");
  }
  return shape;
}

AdamW Arguments::adamW(int index) const {
  const auto read = [&](const char* name) { return propertyNumber(index, "spec", name); };
  AdamW spec;
  spec.gradientScale = read("gradientScale");
  spec.learningRate = read("learningRate");
  spec.beta1 = read("beta1");
  spec.beta2 = read("beta2");
  spec.epsilon = read("epsilon");
  spec.weightDecay = read("weightDecay");
  spec.correction1 = read("correction1");
  spec.correction2 = read("correction2");
  return spec;
}

}  // namespace lockstep
