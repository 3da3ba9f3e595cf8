// Float32 vectors as products take them, and how many elements a thread takes at once.
#pragma once

#include <type_traits>

#include "device.h"
#include "element.h"

namespace lockstep::cuda {

// The values themselves, or rounded into scratch memory.
template <typename T>
const T* operand(Scratch purpose, const float* values, int64_t count) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return values;
  } else {
    T* const out = scratch<T>(purpose, count);
    lockstepCudaDevice()->convert(out, Format::bfloat16, values, Format::float32, count);
    return out;
  }
}

// Calls body(std::integral_constant<int, V>) with what load and store may take at once from rows of this width. Activations
// begin where memory was taken; `parameters` and their gradients begin anywhere in a flat vector.
template <typename Body, typename... Parameters>
void withLanes(int64_t width, const Body& body, const Parameters*... parameters) {
  if (width % 4 == 0 && (... && (reinterpret_cast<uintptr_t>(parameters) % 16 == 0))) {
    body(std::integral_constant<int, 4>());
  } else {
    body(std::integral_constant<int, 1>());
  }
}

}  // namespace lockstep::cuda
