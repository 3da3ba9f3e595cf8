// How an operation over elements of type T takes its place in the table, whose types are those of the CPU's. On a device all
// activations have the format of its arithmetic, whatever they come as.
#pragma once

#include "device.h"
#include "element.h"

namespace lockstep::cuda {

template <typename T>
constexpr Format kFormat = sizeof(T) == sizeof(float) ? Format::float32 : Format::bfloat16;

template <typename T>
T* activations(Activations values) {
  return static_cast<T*>(values.data);
}
template <typename T>
const T* activations(const float* pointer) {
  return reinterpret_cast<const T*>(pointer);
}
template <typename T>
T* activations(float* pointer) {
  return reinterpret_cast<T*>(pointer);
}

// Calls body(T{}) with the type that activations have.
template <typename Body>
void withElement(Arithmetic arithmetic, const Body& body) {
  if (arithmetic == Arithmetic::bfloat16) {
    body(Bfloat16{});
  } else {
    body(float{});
  }
}

}  // namespace lockstep::cuda
