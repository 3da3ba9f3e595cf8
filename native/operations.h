// Every operation that JavaScript can call, as one table of functions over raw pointers. The bindings check
// arguments and then call through a table, so that the fast kernels and their naive twins have one face.
// Shapes are those of src/engine/native/addon.ts, which documents each operation; nothing here is checked again.
#pragma once

#include <cstdint>

#include "isa/kernels.h"

namespace lockstep {

// A micro-batch's random fields: each site has one of them; see philox.h.
struct DropoutKey {
  uint64_t seed;
  uint32_t step;
  uint32_t microBatch;
};

// What drops an element. `rate` 0 means no dropout.
struct Dropout {
  double rate;
  uint32_t site;
  DropoutKey key;

  // An element is kept where its word is at least this: Math.round(rate * 2^32).
  uint64_t threshold() const { return static_cast<uint64_t>(rate * 4294967296.0 + 0.5); }
  float scale() const { return static_cast<float>(1.0 / (1.0 - rate)); }
};

struct AttentionShape {
  int64_t batch, queries, keys, heads, headWidth;
  int64_t qOffset, qStride, kOffset, vOffset, kvStride;
  bool causal;
  Precision precision;

  // Query i of a sample with `length` keys sees keys [0, visible(i, length)).
  int64_t visible(int64_t query, int64_t length) const {
    int64_t limit = causal ? query + 1 + keys - queries : keys;
    if (limit > length) limit = length;
    return limit < 0 ? 0 : limit;
  }
};

// Elements [bounds[2i], bounds[2i + 1]) of a vector for i in [0, count), ascending and apart. In the host's memory.
struct Ranges {
  const int32_t* bounds;
  int64_t count;
};

// Cuts [first, first + size) where a range begins or ends: body(first, size, isInside). It stays within that, whatever the bounds
// have become since they were checked.
template <typename Body>
void forRuns(const Ranges& ranges, int64_t first, int64_t size, const Body& body) {
  const int64_t end = first + size;
  const auto within = [&](int64_t bound) { return bound < first ? first : bound < end ? bound : end; };
  for (int64_t i = 0; i < ranges.count && first < end; i++) {
    const int64_t start = within(ranges.bounds[2 * i]), stop = within(ranges.bounds[2 * i + 1]);
    if (first < start) body(first, start - first, false);
    if (start < stop) body(start, stop - start, true);
    first = stop;
  }
  if (first < end) body(first, end - first, false);
}

struct AdamW {
  double gradientScale, learningRate, beta1, beta2, epsilon, weightDecay, correction1, correction2;
};

struct Operations {
  void (*linear)(Activations x, const float* w, const float* b, Activations y, Activations preActivation, int64_t m,
                 int64_t k, int64_t n, Activation activation, Precision precision);
  void (*linearGradient)(Activations dy, Activations x, const float* w, Activations saved, Activations dx, float* dw,
                         float* db, int64_t m, int64_t k, int64_t n, Activation activation, Precision precision);
  void (*matmul)(const float* a, const float* b, float* c, int64_t m, int64_t k, int64_t n, bool transposeA,
                 bool transposeB);

  void (*attention)(Activations query, Activations memory, const int32_t* lengths, Activations out, float* logSum,
                    const AttentionShape& shape);
  void (*attentionGradient)(Activations query, Activations memory, const int32_t* lengths, Activations out,
                            const float* logSum, Activations dOut, Activations dQuery, Activations dMemory,
                            const AttentionShape& shape);

  // On a device all activations have one format: `operand` is none there, and what `add` takes is float32.
  void (*addDropoutNorm)(const float* residual, Activations x, const float* gamma, const float* beta,
                         float* sum, float* y, Activations operand, float* stats, int64_t rows, int64_t width, float epsilon,
                         const Dropout& dropout);
  void (*addDropoutNormGradient)(const float* dy, Activations dOperand, const float* dSum, const float* sum, const float* gamma,
                                 const float* stats, float* dResidual, Activations dx, float* dGamma,
                                 float* dBeta, int64_t rows, int64_t width, const Dropout& dropout);

  void (*embedding)(const float* table, const float* positions, const int32_t* ids, float* out, int64_t rows,
                    int64_t length, int64_t first, int64_t width, float scale, const Dropout& dropout);
  void (*embeddingGradient)(const float* dOut, const int32_t* ids, float* dTable, int64_t rows,
                            int64_t vocabulary, int64_t width, float scale, const Dropout& dropout,
                            int64_t padding, bool accumulate);

  void (*crossEntropy)(const float* hidden, const float* table, const float* bias, const int32_t* lossRows,
                       const int32_t* labels, Activations dLogits, float* loss, float* correct, int64_t rows,
                       int64_t width, int64_t vocabulary, double smoothing, Precision precision);
  void (*crossEntropyGradient)(Activations dLogits, const float* hidden, const float* table,
                               const int32_t* lossRows, float* dHidden, float* dTable, int64_t hiddenRows,
                               int64_t rows, int64_t width, int64_t vocabulary, float scale,
                               bool accumulate, Precision precision);

  void (*add)(float* out, Activations a, Activations b, int64_t count, bool bfloat16);
  void (*roundToBfloat16)(float* values, int64_t count);
  void (*packBfloat16)(const float* values, uint16_t* out, int64_t count);
  void (*unpackBfloat16)(const uint16_t* values, float* out, int64_t count);
  double (*sumOfSquares)(const float* values, int64_t count);
  void (*adamW)(float* parameters, float* moment1, float* moment2, const float* gradient, int64_t count,
                const Ranges& undecayed, const AdamW& spec);

  // Whether the pointers are a device's (native/cuda/), which nothing on the host may read.
  bool onDevice = false;
};

// Each file of operations fills its part of a table. What training runs on:
void fillLinear(Operations& table);
void fillAttention(Operations& table);
void fillNorm(Operations& table);
void fillEmbedding(Operations& table);
void fillLoss(Operations& table);
void fillVectors(Operations& table);
// Plain loops on one thread, what those are tested against (naive_*.cc):
void fillNaiveModel(Operations& table);
void fillNaiveProducts(Operations& table);
void fillNaiveAttention(Operations& table);
void fillNaiveVectors(Operations& table);

// The complete tables; they live as long as the process.
const Operations& fastOperations();
const Operations& naiveOperations();

}  // namespace lockstep
