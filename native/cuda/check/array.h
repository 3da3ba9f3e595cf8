// Numbers on the device, and what its formats make of numbers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "../device.h"
#include "references.h"

namespace lockstep::check {

using cuda::Device;

inline uint16_t toBfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float toFloat(uint16_t value) {
  const uint32_t bits = uint32_t{value} << 16;
  float result;
  std::memcpy(&result, &bits, 4);
  return result;
}

inline double rounded(double value, Format format) {
  return format == Format::float32 ? static_cast<float>(value) : toFloat(toBfloat16(static_cast<float>(value)));
}

class Array {
 public:
  Array(const Device& device, const Vector& values, Format format) : Array(device, values.size(), format) {
    std::vector<float> wide(values.begin(), values.end());
    std::vector<uint16_t> narrow;
    for (const float value : wide) narrow.push_back(toBfloat16(value));
    device_.upload(memory_, format == Format::float32 ? static_cast<const void*>(wide.data()) : narrow.data(), bytes());
    device_.synchronise();
  }
  Array(const Device& device, size_t count, Format format) : device_(device), count_(count), format_(format) {
    memory_ = device.allocate(bytes() + 16);
    if (!memory_) throw std::runtime_error("the device has no memory left");
  }
  ~Array() { device_.free(memory_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  // As operations take it, whatever the format.
  operator float*() const { return static_cast<float*>(memory_); }
  operator Activations() const {
    return {memory_, format_};
  }
  void* bits() const { return memory_; }
  Vector read() const {
    std::vector<float> wide(count_);
    if (format_ == Format::float32) {
      device_.download(wide.data(), memory_, bytes());
    } else {
      std::vector<uint16_t> narrow(count_);
      device_.download(narrow.data(), memory_, bytes());
      std::transform(narrow.begin(), narrow.end(), wide.begin(), toFloat);
    }
    return Vector(wide.begin(), wide.end());
  }

 private:
  int64_t bytes() const { return static_cast<int64_t>(count_) * (format_ == Format::float32 ? 4 : 2); }
  const Device& device_;
  size_t count_;
  Format format_;
  void* memory_;
};

}  // namespace lockstep::check
