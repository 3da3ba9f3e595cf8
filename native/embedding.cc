// Token embeddings with positions and dropout, and their gradient.
#include <vector>

#include "field.h"
#include "operations.h"
#include "pool.h"
#include "scratch.h"
#include "select.h"

namespace lockstep {
namespace {

constexpr int64_t kRows = 64;
constexpr int64_t kTableRows = 256;

void embedding(const float* table, const float* positions, const int32_t* ids, float* out, int64_t rows,
               int64_t length, int64_t first, int64_t width, float scale, const Dropout& dropout) {
  const DropoutField field = fieldOf(dropout);
  forPanelsOf(kRows, rows, [&](int64_t from, int64_t count) {
    float* const buffer = scratch(Slot::kernel, dropoutScratch(width));
    kernels().embedding(table, positions + first * width, ids, out, from, count, length, width, scale, field,
                        buffer);
  });
}

// Rows are sorted by id (stably, by counting), so that each row of the table is one thread's and its terms are
// added in the order of the tokens. Those of `padding` are left out.
void embeddingGradient(const float* dOut, const int32_t* ids, float* dTable, int64_t rows, int64_t vocabulary,
                       int64_t width, float scale, const Dropout& dropout, int64_t padding, bool accumulate) {
  const DropoutField field = fieldOf(dropout);
  std::vector<int32_t> ends(static_cast<size_t>(vocabulary) + 1);  // at first: where an id's rows begin
  std::vector<int32_t> sorted(static_cast<size_t>(rows));
  for (int64_t r = 0; r < rows; r++) ends[ids[r] + 1] += ids[r] != padding;
  for (int64_t id = 0; id < vocabulary; id++) ends[id + 1] += ends[id];
  for (int64_t r = 0; r < rows; r++) {
    if (ids[r] != padding) sorted[ends[ids[r]]++] = static_cast<int32_t>(r);
  }
  forPanelsOf(kTableRows, vocabulary, [&](int64_t from, int64_t count) {
    float* const buffer = scratch(Slot::kernel, width + dropoutScratch(width));
    for (int64_t id = from; id < from + count; id++) {
      const int32_t begin = id > 0 ? ends[id - 1] : 0;
      if (accumulate && ends[id] == begin) continue;
      kernels().embeddingGradient(dOut, sorted.data() + begin, ends[id] - begin, dTable + id * width, width,
                                  scale, field, accumulate, buffer);
    }
  });
}

}  // namespace

void fillEmbedding(Operations& table) {
  table.embedding = embedding;
  table.embeddingGradient = embeddingGradient;
}

}  // namespace lockstep
