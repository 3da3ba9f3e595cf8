// The ceiling that `bench engine` compares with: the matrix products of a step's linear layers by oneDNN, one thread, every
// operand ready in memory. They are cut into panels with which oneDNN was found fastest: 256 tokens, and for weight
// gradients 128 rows (256 of 1024 and more) whose dz lies dense. Arguments: precision, then shapes as m,k,n.
// Says its version in a line; then, for each line that it reads, measures each shape once and prints the seconds.
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dnnl.hpp>
#include <string>
#include <vector>

namespace {

using Desc = dnnl::memory::desc;
using Type = dnnl::memory::data_type;

struct Product {
  dnnl::matmul run;
  Desc a, b, c, scratchpad;
};

struct Shape {
  int64_t m, k, n;
};

class Products {
 public:
  explicit Products(Type type) : type_(type), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}

  // y = x · wᵀ and dx = dz · w by panels of tokens, dw = dzᵀ · x by panels of the weight's rows.
  void run(const Shape& s) {
    for (int64_t first = 0; first < s.m; first += 256) {
      const int64_t rows = std::min<int64_t>(256, s.m - first);
      multiply(x + first * s.k, {rows, s.k}, {s.k, 1}, w, {s.k, s.n}, {1, s.k});
      multiply(dz + first * s.n, {rows, s.n}, {s.n, 1}, w, {s.n, s.k}, {s.k, 1});
    }
    const int64_t panel = s.n >= 1024 ? 256 : 128;
    for (int64_t first = 0; first < s.n; first += panel) {
      const int64_t rows = std::min(panel, s.n - first);
      multiply(dz + first * s.m, {rows, s.m}, {1, rows}, x, {s.m, s.k}, {s.k, 1});
    }
  }

  // For shapes of at most so many elements in each operand.
  void provide(int64_t elements) {
    for (std::vector<float>* memory : {&inputs_, &weights_, &gradients_}) {
      memory->resize(static_cast<size_t>(elements));
      uint32_t state = 1;
      for (float& value : *memory) {
        state = state * 1103515245u + 12345u;
        value = static_cast<float>(state) / 4294967296.0f - 0.5f;
      }
      if (type_ == Type::bf16) round(*memory);
    }
    result_.resize(static_cast<size_t>(elements));
    x = Pointer{inputs_.data(), size()}, w = Pointer{weights_.data(), size()}, dz = Pointer{gradients_.data(), size()};
  }

 private:
  struct Pointer {
    void* data;
    int64_t size;
    Pointer operator+(int64_t elements) const { return {static_cast<char*>(data) + elements * size, size}; }
  };

  int64_t size() const { return type_ == Type::bf16 ? 2 : 4; }

  // In place: values as bfloat16, towards zero, which is near enough here.
  static void round(std::vector<float>& values) {
    auto* const halves = reinterpret_cast<uint16_t*>(values.data());
    for (size_t i = 0; i < values.size(); i++) halves[i] = halves[2 * i + 1];
  }

  void multiply(Pointer a, dnnl::memory::dims aSize, dnnl::memory::dims aStrides, Pointer b, dnnl::memory::dims bSize,
                dnnl::memory::dims bStrides) {
    const std::vector<int64_t> key = {aSize[0], aSize[1], bSize[1], aStrides[0], bStrides[0]};
    const Product* known = nullptr;
    for (const auto& [shape, made] : made_) {
      if (shape == key) known = &made;
    }
    if (!known) {
      made_.emplace_back(key, make(Desc(aSize, type_, aStrides), Desc(bSize, type_, bStrides),
                                   Desc({aSize[0], bSize[1]}, Type::f32, {bSize[1], 1})));
      known = &made_.back().second;
    }
    scratchpad_.resize(std::max(scratchpad_.size(), known->scratchpad.get_size() / 4 + 16));
    const auto memory = [&](const Desc& desc, void* data) { return dnnl::memory(desc, engine_, data); };
    known->run.execute(stream_, {{DNNL_ARG_SRC, memory(known->a, a.data)},
                                 {DNNL_ARG_WEIGHTS, memory(known->b, b.data)},
                                 {DNNL_ARG_DST, memory(known->c, result_.data())},
                                 {DNNL_ARG_SCRATCHPAD, memory(known->scratchpad, scratchpad_.data())}});
    stream_.wait();
  }

  Product make(const Desc& a, const Desc& b, const Desc& c) {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::matmul::primitive_desc description(engine_, a, b, c, attributes);
#else
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, c), attributes, engine_);
#endif
    return {dnnl::matmul(description), a, b, c, description.scratchpad_desc()};
  }

  const Type type_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::vector<float> inputs_, weights_, gradients_, result_, scratchpad_;
  std::vector<std::pair<std::vector<int64_t>, Product>> made_;
  Pointer x{}, w{}, dz{};
};

}  // namespace

int main(int count, char** arguments) {
  omp_set_num_threads(1);
  Products products(std::string(arguments[1]) == "bfloat16" ? Type::bf16 : Type::f32);
  std::vector<Shape> shapes;
  int64_t largest = 0;
  for (int i = 2; i < count; i++) {
    Shape s;
    if (std::sscanf(arguments[i], "%ld,%ld,%ld", &s.m, &s.k, &s.n) != 3) return 2;
    shapes.push_back(s);
    largest = std::max({largest, s.m * s.k, s.k * s.n, s.m * s.n});
  }
  products.provide(largest);
  for (const Shape& shape : shapes) products.run(shape);  // warm: code is generated for each
  const dnnl_version_t* version = dnnl_version();
  std::printf("oneDNN %d.%d.%d\n", version->major, version->minor, version->patch);
  std::fflush(stdout);
  for (int c; (c = std::getchar()) != EOF;) {
    if (c != '\n') continue;
    const char* separator = "[";
    for (const Shape& shape : shapes) {
      const auto start = std::chrono::steady_clock::now();
      products.run(shape);
      std::printf("%s%.9f", separator, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      separator = ",";
    }
    std::printf("]\n");
    std::fflush(stdout);
  }
}
