// Rows of the embedding, and the gradient of one row of its table.
#include "isa/bfloat16.h"
#include "isa/dropout.h"

namespace lockstep {
namespace LOCKSTEP_ISA {
namespace {

void embedding(const float* table, const float* positions, const int32_t* ids, float* out, int64_t first,
               int64_t rows, int64_t length, int64_t width, float scale, const DropoutField& dropout,
               float* scratch) {
  for (int64_t r = first; r < first + rows; r++) {
    const float* token = table + ids[r] * width;
    const float* position = positions + (r % length) * width;
    float* row = out + r * width;
    const float* factors = dropout.active ? dropoutFactors(dropout, r * width, width, scratch) : nullptr;
    forLanes(width, [=](int64_t i, int64_t count) {
      Floats value = loadSome(token + i, count) * scale + loadSome(position + i, count);
      if (factors) value *= loadSome(factors + i, count);
      storeNext(row + i, value, count);
    });
  }
}

void embeddingGradient(const float* dOut, const int32_t* rows, int64_t count, float* row, int64_t width,
                       float scale, const DropoutField& dropout, bool accumulate, float* scratch) {
  float* sum = scratch;
  zeroFloats(sum, width);
  for (int64_t n = 0; n < count; n++) {
    const int64_t at = rows[n] * width;
    const float* factors = dropout.active ? dropoutFactors(dropout, at, width, scratch + width) : nullptr;
    forLanes(width, [=](int64_t i, int64_t lanes) {
      Floats value = loadSome(dOut + at + i, lanes);
      if (factors) value *= loadSome(factors + i, lanes);
      storeSome(sum + i, loadSome(sum + i, lanes) + value * scale, lanes);
    });
  }
  forLanes(width, [=](int64_t i, int64_t lanes) {
    const Floats total = loadSome(sum + i, lanes);
    storeSome(row + i, accumulate ? loadSome(row + i, lanes) + total : total, lanes);
  });
}

}  // namespace

void fillEmbedding(Kernels& table) {
  table.embedding = embedding;
  table.embeddingGradient = embeddingGradient;
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
