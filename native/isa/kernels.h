// The vector kernels: what one thread does with one panel. They are compiled five times (SSE2, AVX2, AVX-512, that with
// AVX512_BF16, and that with AMX) from the same source with the same 16 lanes and the same order of additions, so all give the
// same bits; but SSE2 has no fused multiply-add, and differs in matrix products, as AMX does in those of bfloat16.
//
// Plain data and pointers only: code that a header brings into those files could otherwise be kept by the linker
// as the copy for everyone, and that copy may hold AVX-512 instructions. For that reason they include no part of
// the C++ library, and every helper has internal linkage.
#pragma once

#include <stdint.h>

namespace lockstep {

static constexpr int64_t kLanes = 16;

static inline int64_t ceilDiv(int64_t count, int64_t size) { return (count + size - 1) / size; }

static inline int64_t wholeLanes(int64_t count) { return ceilDiv(count, kLanes) * kLanes; }

// A matrix anywhere in memory: element (r, c) is data[r * rowStride + c * columnStride].
template <typename Unit>
struct Matrix {
  const Unit* data;
  int64_t rowStride, columnStride;
};

// What matrix products take: float32; bfloat16; or float32 as the sum of two or three bfloat16, of whose products the three or
// six largest are taken (operands.h). All are summed in float32.
enum class Precision { float32 = 0, bfloat16 = 1, bfloat16x3 = 2, bfloat16x6 = 3 };

// How many bfloat16 stand for a number.
static inline int64_t partsOf(Precision precision) {
  return precision == Precision::bfloat16x6 ? 3 : precision == Precision::bfloat16x3 ? 2 : 1;
}

// How a tensor is stored.
enum class Format { float32 = 0, bfloat16 = 1 };

static inline Format formatOf(Precision precision) {
  return precision == Precision::bfloat16 ? Format::bfloat16 : Format::float32;
}

// Operands of products are made of units of four bytes, whatever the type of the pointer says: a float, or two bfloat16 that
// follow each other in depth. So many units are a depth of n, whatever n is or, where it is a multiple of 32, in sum.
static inline int64_t depthOf(Precision precision, int64_t n) {
  return precision == Precision::float32 ? n : partsOf(precision) * ((n + 1) / 2);
}

static inline int64_t packedUnits(Precision precision, int64_t k, int64_t n) {
  return depthOf(precision, k) * wholeLanes(n);
}

// From one row of a left operand to the next, where they are laid out for a depth of n.
static inline int64_t leftStride(Precision precision, int64_t n) {
  if (partsOf(precision) == 1) return wholeLanes(depthOf(precision, n));
  const int64_t lines = partsOf(precision) * ceilDiv((n + 1) / 2, kLanes);
  return (lines | 1) * kLanes;  // an odd number of cache lines: rows then do not drive each other out
}

// Of rows that are multiplied along their width.
static inline int64_t leftUnits(Precision precision, int64_t rows, int64_t width) {
  return rows * leftStride(precision, width);
}

// The bits of a bfloat16.
typedef uint16_t Bfloat16;

// Numbers of a tensor in the format they are stored in, or none (null). What is only read comes as one, too.
struct Activations {
  void* data;
  Format format;
};

static constexpr Activations kNone = {nullptr, Format::float32};

static inline Activations activations(const float* values) { return {const_cast<float*>(values), Format::float32}; }

// Calls body(pointer) with a pointer of the right type.
template <typename Body>
static inline auto withNumbers(Activations a, const Body& body) {
  return a.format == Format::bfloat16 ? body(static_cast<Bfloat16*>(a.data)) : body(static_cast<float*>(a.data));
}

// So many floats take as much memory.
static inline int64_t floatsOf(Format format, int64_t count) { return format == Format::bfloat16 ? (count + 1) / 2 : count; }

static inline int64_t bytesOf(Format format) { return format == Format::bfloat16 ? 2 : 4; }

// Those from element `index` on; of none, none.
static inline Activations from(Activations a, int64_t index) {
  if (!a.data) return a;
  return {static_cast<char*>(a.data) + index * bytesOf(a.format), a.format};
}

// What a linear layer's result passes. `gelu` is the exact one, z Φ(z); `swish` is z σ(z).
enum class Activation { none = 0, relu = 1, gelu = 2, swish = 3 };

template <Activation ACTIVATION>
struct KnownActivation {
  static constexpr Activation value = ACTIVATION;
};

// Calls body(KnownActivation<...>{}), so that loops are compiled for each activation.
template <typename Body>
static inline auto withActivation(Activation activation, const Body& body) {
  switch (activation) {
    case Activation::relu: return body(KnownActivation<Activation::relu>{});
    case Activation::gelu: return body(KnownActivation<Activation::gelu>{});
    case Activation::swish: return body(KnownActivation<Activation::swish>{});
    case Activation::none: break;
  }
  return body(KnownActivation<Activation::none>{});
}

// A random field that decides what is dropped. Element i is dropped iff its Philox word is <= lastDropped.
struct DropoutField {
  bool active;
  uint32_t key0, key1, site, microBatch, step;
  uint32_t lastDropped;
  float scale;
};

// Floats of scratch for the factors of `count` elements in a row, in whatever position they start.
static inline int64_t dropoutScratch(int64_t count) { return count + 2 * 64; }

// One head of one sample, all in one format. Rows are `qStride` and `kvStride` elements apart, those of out and dOut
// `outStride`.
struct AttentionHead {
  int64_t queries, keys, headWidth, length;
  bool causal;
  Precision precision;
  Activations q, k, v;
  int64_t qStride, kvStride, outStride;
};

// Queries are taken in tiles of this many rows: it bounds the scores in memory to one tile's.
static constexpr int64_t kQueryTile = 64;

// Enough for all precisions.
static inline int64_t attentionScratch(int64_t keys, int64_t headWidth) {
  const int64_t k = leftStride(Precision::bfloat16x6, keys), d = leftStride(Precision::bfloat16x6, headWidth);
  return k * d * 2 + kQueryTile * 2 * (k + d);
}

static inline int64_t attentionGradientScratch(int64_t keys, int64_t headWidth) {
  const int64_t k = leftStride(Precision::bfloat16x6, keys), d = leftStride(Precision::bfloat16x6, headWidth);
  return k * d * 5 + kQueryTile * (3 * k + 4 * d);
}

// Columns of whole panels, whatever the instruction set.
static constexpr int64_t kPanelsColumns = 480;

// Rows of memory that will be read soon, for which a core may ask while it multiplies: so many bytes each, `stride` apart.
struct Ahead {
  const char* at;
  int64_t bytes, stride, rows;
};

static constexpr Ahead kNothingAhead = {nullptr, 0, 0, 0};

// What both operands of the next product are made from.
struct NextOperands {
  Ahead left, right;
};

static constexpr NextOperands kNoNext = {kNothingAhead, kNothingAhead};

// Rows of a linear layer: y[rows, n] = activation(a[rows, k] · weights[k, n] + bias). `a` is in units, weights are packed; y and, if
// it is wanted, preActivation are in one format, their rows `stride` apart. With `saved`, which lies like them, they are rows of a
// gradient, y = (a · weights) * activation'(saved), without bias and preActivation.
struct LinearRows {
  Precision precision;
  Matrix<float> a;
  const float *weights, *bias;
  Activations preActivation, y, saved;
  int64_t rows, k, n, stride;
  Activation activation;
  bool passesCaches;  // what is written: nobody reads it soon
  Ahead ahead;
};

// Rows whose strip of results stays in L1 while a layer multiplies and finishes it.
static constexpr int64_t kStripRows = 128;

// Of a panel's results so much is kept until it goes out as rows, and at most so many columns.
static constexpr int64_t kLinearBytes = 256 << 10, kLinearColumns = 960;

static inline int64_t linearScratch(int64_t rows) {
  const int64_t mostLines = kLinearColumns / 32 * kLanes;  // between strips
  const int64_t kept = kLinearBytes / 4 > rows * 48 ? kLinearBytes / 4 : rows * 48;
  return 2 * (kStripRows * 48 + kept + mostLines);
}

struct LossRow {
  double loss;
  bool correct;
};

struct AdamWFactors {
  float gradientScale, decay, oneMinusBeta1, beta2, oneMinusBeta2, root2, epsilon, stepSize;
};

struct Kernels {
  const char* isa;

  // ---- matrix products
  // A packed operand is cut into panels of so many columns, each [depth][its columns in whole lanes]. Divides kPanelsColumns.
  int64_t panelColumns;
  // Rows [rows, width] to be multiplied along their width: themselves, or in `out` (leftUnits).
  Matrix<float> (*left)(Precision precision, Activations a, int64_t stride, int64_t rows, int64_t width, float* out);
  // Rows to be multiplied with each other, as the left operand: out[width][leftStride of rows], up to whole lanes of width.
  void (*transposed)(Precision precision, Activations a, int64_t stride, int64_t rows, int64_t width, float* out);
  // Rows [first, first + rows) of b[k,n], one stride of which is 1, as `product` takes it, to their place in `out`
  // (packedUnits(precision, k, n)). With bfloat16 `first` is even, with several parts a multiple of 32.
  void (*pack)(Precision precision, Activations b, int64_t rowStride, int64_t columnStride, int64_t first, int64_t rows,
               int64_t k, int64_t n, float* out);
  // c[m,n] (row stride cStride) = a[m,k] · b[k,n], added to c when `accumulate`. `a` is in units, and one stride of it is 1.
  // Every element is one chain of multiply-adds over k in ascending order (of bfloat16: k + 1 before k, for even k; of several
  // parts: 32 of k at a time, once for each of Terms in tile.h; with AMX as amx.h says).
  void (*product)(Precision precision, Matrix<float> a, const float* packed, float* c, int64_t cStride, int64_t m,
                  int64_t k, int64_t n, bool accumulate, const NextOperands& next);

  // ---- linear layers
  void (*linear)(const LinearRows& of, float* scratch);
  // out[c] = Σ a[r, c] over rows, in blocks of 64 rows whose sums are added in order.
  void (*columnSums)(Activations a, int64_t rowStride, int64_t rows, int64_t columns, float* out);

  // ---- attention
  void (*attention)(const AttentionHead& head, Activations out, float* logSum, float* scratch);
  void (*attentionGradient)(const AttentionHead& head, Activations out, const float* logSum, Activations dOut, Activations dq,
                            Activations dk, Activations dv, float* scratch);

  // ---- rows of residual + dropout + norm; `first` is the index of their first row in the tensor. `operand` is y once more, in
  // another format, or none; its gradient and y's are added, and either may be missing.
  void (*addDropoutNorm)(const float* residual, Activations x, const float* gamma, const float* beta,
                         float* sum, float* y, Activations operand, float* stats, int64_t first, int64_t rows, int64_t width,
                         float epsilon, const DropoutField& dropout, float* scratch);
  // dGamma and dBeta are these rows' part.
  void (*addDropoutNormGradient)(const float* dy, Activations dOperand, const float* dSum, const float* sum, const float* gamma,
                                 const float* stats, float* dResidual, Activations dx, float* dGamma,
                                 float* dBeta, int64_t first, int64_t rows, int64_t width,
                                 const DropoutField& dropout, float* scratch);

  // ---- embedding rows [first, first + rows)
  void (*embedding)(const float* table, const float* positions, const int32_t* ids, float* out, int64_t first,
                    int64_t rows, int64_t length, int64_t width, float scale, const DropoutField& dropout,
                    float* scratch);
  // row[width] (+)= Σ scale * dropout(dOut[rows[i]]), in order. Scratch: width + dropoutScratch(width).
  void (*embeddingGradient)(const float* dOut, const int32_t* rows, int64_t count, float* row, int64_t width,
                            float scale, const DropoutField& dropout, bool accumulate, float* scratch);

  // ---- cross-entropy of one row; `logits` is written over
  LossRow (*crossEntropy)(float* logits, int64_t vocabulary, int64_t label, double smoothing, Activations gradient);
  // out = a * scale
  void (*scaled)(const float* a, float scale, Activations out, int64_t count);

  // Copies rows past the caches, where nobody reads them soon.
  void (*stream)(const float* from, int64_t fromStride, float* to, int64_t toStride, int64_t rows, int64_t width);

  // ---- flat vectors
  void (*add)(float* out, Activations a, Activations b, int64_t count, bool bfloat16);
  void (*roundToBfloat16)(float* values, int64_t count);
  void (*packBfloat16)(const float* values, uint16_t* out, int64_t count);
  void (*unpackBfloat16)(const uint16_t* values, float* out, int64_t count);
  double (*sumOfSquares)(const float* values, int64_t count);
  void (*adamW)(float* parameters, float* moment1, float* moment2, const float* gradient, int64_t count,
                const AdamWFactors& factors);

  // ---- for tests of the functions that the kernels are made of
  void (*exponential)(const float* x, float* out, int64_t count);
  void (*dropoutFactors)(const DropoutField& field, int64_t first, int64_t count, float* out, float* scratch);
};

// Fills the table of one instruction set. Called only where it is supported: even this function is compiled for it.
namespace sse2 {
void fillKernels(Kernels& table);
}
namespace avx2 {
void fillKernels(Kernels& table);
}
namespace avx512 {
void fillKernels(Kernels& table);
}
namespace avx512bf16 {
void fillKernels(Kernels& table);
}
namespace amx {
void fillKernels(Kernels& table);
}

}  // namespace lockstep
