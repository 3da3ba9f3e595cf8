// Matrix products of the emulation, one element after another. See ../product.h.
#include "../product.h"

#include "../element.h"
#include "../runtime.h"

namespace lockstep::cuda {
namespace {

template <typename T>
const T* as(const void* elements) {
  return static_cast<const T*>(elements);
}

float element(const void* elements, Format format, int64_t index) {
  return format == Format::float32 ? as<float>(elements)[index] : toFloat(as<Bfloat16>(elements)[index]);
}

}  // namespace

void multiply(const Product& p, bool) {
  workComes();
  for (int64_t i = 0; i < p.m; i++) {
    for (int64_t j = 0; j < p.n; j++) {
      float sum = 0;
      for (int64_t l = 0; l < p.k; l++) {
        sum += element(p.a.elements, p.a.format, p.a.transposed ? l * p.m + i : i * p.k + l) *
               element(p.b.elements, p.b.format, p.b.transposed ? j * p.k + l : l * p.n + j);
      }
      sum *= p.scale;
      if (p.accumulate) sum += element(p.out, p.format, i * p.n + j);
      if (p.bias) sum += element(p.bias, p.format, j);
      if (p.relu && !(sum > 0)) sum = sum != sum ? sum : 0;
      if (p.format == Format::float32) {
        static_cast<float*>(p.out)[i * p.n + j] = sum;
      } else {
        static_cast<Bfloat16*>(p.out)[i * p.n + j] = fromFloat<Bfloat16>(sum);
      }
    }
  }
}

int64_t productVersion() { return 0; }

}  // namespace lockstep::cuda
