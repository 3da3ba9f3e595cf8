// The matrix product by oneDNN, one thread a call. See product.h.
//
// oneDNN would spread a call over OpenMP threads by itself, and then its bits could depend on their number: every
// thread that comes here is told to use one. Primitives (generated code for given sizes and strides) are shared by
// all threads; what they write to besides the result, the scratchpad, is the calling thread's.
#ifdef LOCKSTEP_ONEDNN

#include <omp.h>

#include <array>
#include <dnnl.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "product.h"
#include "scratch.h"

namespace lockstep {
namespace {

using Shape = std::array<int64_t, 10>;  // m, k, n, strides of a, b and c, accumulate, bfloat16
using Desc = dnnl::memory::desc;

struct Primitive {
  Desc a, b, c, scratchpad;
  dnnl::matmul run;
};

const dnnl::engine& engine() {
  static const auto* const made = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *made;
}

Desc descOf(int64_t rows, int64_t columns, dnnl::memory::data_type type, int64_t rowStride, int64_t columnStride) {
  return Desc({rows, columns}, type, {rowStride, columnStride});
}

std::shared_ptr<const Primitive> create(const Shape& s) {
  const auto made = std::make_shared<Primitive>();
  const auto type = s[9] ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
  made->a = descOf(s[0], s[1], type, s[3], s[4]);
  made->b = descOf(s[1], s[2], type, s[5], s[6]);
  made->c = descOf(s[0], s[2], dnnl::memory::data_type::f32, s[7], 1);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (s[8]) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::matmul::primitive_desc description(engine(), made->a, made->b, made->c, attributes);
#else
  const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(made->a, made->b, made->c), attributes,
                                                 engine());
#endif
  made->scratchpad = description.scratchpad_desc();
  made->run = dnnl::matmul(description);
  return made;
}

// Batches have many sizes, and the weight gradient's depth is the number of tokens: the cache starts afresh when it
// is full rather than growing for ever. Pointers are shared, so a thread may still run what was dropped.
std::shared_ptr<const Primitive> primitiveFor(const Shape& shape) {
  static constexpr size_t kMost = 512;
  static std::mutex* const mutex = new std::mutex;
  static auto* const cache = new std::map<Shape, std::shared_ptr<const Primitive>>;
  {
    const std::lock_guard<std::mutex> lock(*mutex);
    const auto found = cache->find(shape);
    if (found != cache->end()) return found->second;
  }
  auto made = create(shape);  // outside the lock: it takes milliseconds
  const std::lock_guard<std::mutex> lock(*mutex);
  if (cache->size() >= kMost) cache->clear();
  return cache->emplace(shape, std::move(made)).first->second;
}

dnnl::stream& streamOfThisThread() {
  static thread_local dnnl::stream stream = [] {
    omp_set_num_threads(1);
    return dnnl::stream(engine());
  }();
  return stream;
}

template <typename Element>
void multiplyElements(Matrix<Element> a, Matrix<Element> b, float* c, int64_t cStride, int64_t m, int64_t k, int64_t n,
                      bool accumulate) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (int64_t i = 0; !accumulate && i < m * n; i++) c[i / n * cStride + i % n] = 0;
    return;
  }
  dnnl::stream& stream = streamOfThisThread();
  const auto primitive = primitiveFor({m, k, n, a.rowStride, a.columnStride, b.rowStride, b.columnStride, cStride,
                                       accumulate, sizeof(Element) < sizeof(float)});
  const auto memory = [](const Desc& desc, const void* data) {
    return dnnl::memory(desc, engine(), const_cast<void*>(data));
  };
  float* const pad = scratch(Slot::library, static_cast<int64_t>(primitive->scratchpad.get_size() / 4) + 16);
  primitive->run.execute(stream, {{DNNL_ARG_SRC, memory(primitive->a, a.data)},
                                  {DNNL_ARG_WEIGHTS, memory(primitive->b, b.data)},
                                  {DNNL_ARG_DST, memory(primitive->c, c)},
                                  {DNNL_ARG_SCRATCHPAD, memory(primitive->scratchpad, pad)}});
  stream.wait();
}

}  // namespace

void multiply(Matrix<float> a, Matrix<float> b, float* c, int64_t cStride, int64_t m, int64_t k, int64_t n,
              bool accumulate) {
  multiplyElements(a, b, c, cStride, m, k, n, accumulate);
}

void multiply(Matrix<uint16_t> a, Matrix<uint16_t> b, float* c, int64_t cStride, int64_t m, int64_t k, int64_t n,
              bool accumulate) {
  multiplyElements(a, b, c, cStride, m, k, n, accumulate);
}

bool multipliesBfloat16() {
  constexpr int kWanted = static_cast<int>(dnnl::cpu_isa::avx512_core_bf16);
  return (static_cast<int>(dnnl::get_effective_cpu_isa()) & kWanted) == kWanted;
}

const char* productLibrary() { return "onednn"; }

const char* productVersion() {
  static const std::string version = [] {
    const dnnl_version_t* v = dnnl_version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
  }();
  return version.c_str();
}

const char* productIsa() {
  // The number is oneDNN's dnnl_cpu_isa_t: a set of bits, larger for more.
  static const std::string isa = std::to_string(static_cast<int>(dnnl::get_effective_cpu_isa()));
  return isa.c_str();
}

}  // namespace lockstep

#endif
