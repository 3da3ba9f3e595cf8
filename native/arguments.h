// Reads the arguments of a JavaScript call, checked, and calls an operation with them. A wrong type is a TypeError, a wrong size
// a RangeError, both naming the argument. Pointers are valid while the array lives: a call that waits, or is kept, needs somebody
// who keeps it. Of indices it has a copy, since one that changed after it was checked would lead to foreign memory. Where the
// operations are a device's, arrays are objects of an address in its memory and a length in elements (DeviceArray in addon.ts).
#pragma once

#include <node_api.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "calls.h"

namespace lockstep {

struct ArgumentError : std::runtime_error {
  ArgumentError(bool range, const std::string& message) : std::runtime_error(message), isRange(range) {}
  const bool isRange;
};

// A product of sizes that refuses to overflow (a call with such sizes cannot have arrays to match).
int64_t sizeOf(int64_t a, int64_t b, int64_t c = 1);

// A copy of checked indices.
class Indices {
 public:
  Indices(const char* name, const int32_t* source, int64_t count, int64_t limit)
      : name_(name), source_(source), limit_(limit), copy_(static_cast<size_t>(count)) {
    read();
  }
  // Throws an ArgumentError where one is not in [0, limit).
  void read();
  const int32_t* data() const { return copy_.data(); }

 private:
  const char* name_;  // a literal
  const int32_t* source_;
  int64_t limit_;
  std::vector<int32_t> copy_;
};

// A call of a function of the table. Its pointers to indices are into `indices`.
template <typename... Parameters>
class OperationCall : public Call {
 public:
  using Operation = void (*)(Parameters...);
  using Values = std::tuple<std::decay_t<Parameters>...>;

  OperationCall(BoundFunction& function, Operation operation, std::vector<Indices> indices, Values values)
      : Call(function), operation_(operation), indices_(std::move(indices)), values_(std::move(values)) {}

  void renew(const DropoutKey& key) override {
    for (Indices& indices : indices_) indices.read();
    std::apply([&](auto&... values) { (setKey(values, key), ...); }, values_);
  }

 private:
  void perform() const override { std::apply(operation_, values_); }

  static void setKey(Dropout& dropout, const DropoutKey& key) { dropout.key = key; }
  template <typename Other>
  static void setKey(Other&, const DropoutKey&) {}

  Operation operation_;
  std::vector<Indices> indices_;
  Values values_;
};

class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info);

  napi_env env() const { return env_; }
  // Whether arrays are a device's.
  bool onDevice() const { return operations() && operations()->onDevice; }

  // Where calls of this function wait, or null.
  Queue* queue() const { return function_->callee.queue; }

  // Calls an operation of the table that the JavaScript function was made for: now, or when its turn in the queue comes.
  template <typename... Parameters, typename... Given>
  void perform(void (*Operations::*operation)(Parameters...), const Given&... given) const {
    using Made = OperationCall<Parameters...>;
    submitAndKeep(std::make_shared<Made>(*function_, operations()->*operation, std::move(indices_), typename Made::Values(given...)));
  }
  // The same of one whose result is wanted now.
  template <typename... Parameters, typename... Given>
  double compute(double (*Operations::*operation)(Parameters...), const Given&... given) const {
    const Stopwatch time(*function_);
    return (operations()->*operation)(given...);
  }

  // Arrays with at least `least` elements. The plain forms refuse null, the optional ones return nullptr.
  float* floats(int index, const char* name, int64_t least) const;
  float* floatsOrNull(int index, const char* name, int64_t least) const;
  // Of float32 or, in a Uint16Array, bfloat16. A device knows the format of its own.
  Activations activations(int index, const char* name, int64_t least) const;
  Activations activationsOrNone(int index, const char* name, int64_t least) const;
  // `count` ids or row numbers in [0, limit). They come from data: one outside its table would read or write foreign memory. Those
  // in a device's memory were checked on their way there.
  const int32_t* indices(int index, const char* name, int64_t count, int64_t limit) const;
  // Bounds of parts of a vector of `count` elements, in the host's memory.
  Ranges ranges(int index, const char* name, int64_t count) const;
  bool isNull(int index) const;
  uint16_t* halves(int index, const char* name, int64_t least) const;
  // A Uint8Array, of any length.
  const uint8_t* bytes(int index, const char* name, int64_t* length) const;
  // The ArrayBuffer (or SharedArrayBuffer) under a Uint8Array.
  napi_value bufferOf(int index, const char* name) const;
  // Elements in a float array, for sizes that are not passed on their own.
  int64_t length(int index, const char* name) const;

  double number(int index, const char* name) const;
  // An integer in [0, 2^31): a dimension, an offset, a count of rows.
  int64_t size(int index, const char* name) const;
  // An integer in [0, 2^53]: elements of a flat vector.
  int64_t count(int index, const char* name) const;
  // An id in [0, 2^31), or -1 for none.
  int64_t idOrNone(int index, const char* name) const;
  bool flag(int index, const char* name) const;
  std::string text(int index, const char* name) const;
  // What an external value of the addon points to.
  void* external(int index, const char* name) const;
  Activation activation(int index, const char* name) const;
  Precision precision(int index, const char* name) const;
  Dropout dropout(int index) const;
  AttentionShape attentionShape(int index) const;
  DropoutKey dropoutKey(int index, const char* name) const;
  AdamW adamW(int index) const;

 private:
  const Operations* operations() const { return function_->callee.operations; }
  void submitAndKeep(const std::shared_ptr<Call>& call) const;
  DropoutKey keyOf(napi_value key, const char* owner) const;
  void* array(int index, const char* name, napi_typedarray_type type, const char* typeName, int64_t least,
              bool optional) const;
  void* hostArray(int index, const char* name, napi_typedarray_type type, const char* typeName, bool optional,
                  int64_t* length) const;
  bool isHalves(int index) const;
  void* deviceArray(int index, const char* name, int64_t least, int64_t* length) const;
  napi_value property(napi_value object, const char* owner, const char* name) const;
  napi_value property(int index, const char* owner, const char* name) const;
  double asNumber(napi_value value, const std::string& name) const;
  double propertyNumber(int index, const char* owner, const char* name) const;
  int64_t propertySize(int index, const char* owner, const char* name) const;
  Precision asPrecision(double value, const std::string& name) const;
  int64_t asInteger(double value, const std::string& name, double limit) const;

  static constexpr size_t kMostArguments = 14;
  napi_env env_;
  napi_value values_[kMostArguments];
  BoundFunction* function_ = nullptr;
  mutable std::vector<Indices> indices_;  // of the call that is read
};

}  // namespace lockstep
