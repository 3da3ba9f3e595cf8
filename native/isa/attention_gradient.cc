// Gradient of one head's attention: the probabilities are computed again from the saved log-sums, tile by tile
// (as in FlashAttention, Dao et al. 2022); dk and dv grow over the tiles in ascending order of queries.
#include "isa/attention.h"

namespace lockstep {
namespace LOCKSTEP_ISA {
namespace {

// Turns a row of scores into probabilities and a row of dP into the gradient of the unscaled scores, both zero
// from `keys` to `end`.
LANES_INLINE void rowGradient(float* scores, float* dScores, int64_t keys, int64_t end, float scale,
                              float logSum, float along) {
  int64_t j = 0;
  for (; j < keys; j += kLanes) {
    const Floats p = firstLanes(exponential(load(scores + j) * scale - logSum), keys - j, Floats{});
    const Floats d = firstLanes((p * (load(dScores + j) - along)) * scale, keys - j, Floats{});
    store(scores + j, p);
    store(dScores + j, d);
  }
  for (; j < end; j += kLanes) {
    store(scores + j, Floats{});
    store(dScores + j, Floats{});
  }
}

LANES_INLINE float dot(const float* a, const float* b, int64_t width) {
  Floats sum = {};
  forLanes(width, [&](int64_t d, int64_t count) { sum += loadSome(a + d, count) * loadSome(b + d, count); });
  return sumLanes(sum);
}

void copyOut(const float* from, int64_t fromStride, float* to, int64_t toStride, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++) {
    copyFloats(to + r * toStride, from + r * fromStride, width);
  }
}

void attentionGradient(const AttentionHead& head, const float* out, const float* logSum, const float* dOut,
                       float* dq, float* dk, float* dv, float* scratch) {
  const int64_t keyStride = wholeLanes(head.keys), width = wholeLanes(head.headWidth);
  const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(head.headWidth));
  float* keysT = scratch;                            // [headWidth][keyStride]
  float* valuesT = keysT + keyStride * width;        // [headWidth][keyStride]
  float* keys = valuesT + keyStride * width;         // [keys][width]
  float* dKeys = keys + keyStride * width;           // [keys][width]
  float* dValues = dKeys + keyStride * width;        // [keys][width]
  float* scores = dValues + keyStride * width;       // [64][keyStride], then probabilities
  float* dScores = scores + kQueryTile * keyStride;  // [64][keyStride]
  float* queries = dScores + kQueryTile * keyStride;  // [64][width]
  float* dOuts = queries + kQueryTile * width;        // [64][width]
  float* dQueries = dOuts + kQueryTile * width;       // [64][width]
  packTransposed(head.k, head.kvStride, head.keys, head.headWidth, keysT);
  packTransposed(head.v, head.kvStride, head.keys, head.headWidth, valuesT);
  packPadded(head.k, head.kvStride, head.keys, head.headWidth, keys);
  zeroFloats(dKeys, 2 * keyStride * width);

  for (int64_t at = 0; at < head.queries; at += kQueryTile) {
    const QueryTile tile(head, at);
    const int64_t end = wholeLanes(tile.keys);
    const float* q = head.q + at * head.qStride;
    const float* dO = dOut + at * head.outStride;
    packPadded(q, head.qStride, tile.rows, head.headWidth, queries);
    packPadded(dO, head.outStride, tile.rows, head.headWidth, dOuts);
    stripProduct({q, head.qStride, 1}, keysT, keyStride, scores, keyStride, tile.rows, head.headWidth, end, false);
    stripProduct({dO, head.outStride, 1}, valuesT, keyStride, dScores, keyStride, tile.rows, head.headWidth, end,
                 false);
    for (int64_t i = 0; i < tile.rows; i++) {
      const float along = dot(dO + i * head.outStride, out + (at + i) * head.outStride, head.headWidth);
      rowGradient(scores + i * keyStride, dScores + i * keyStride, visible(head, at + i), end, scale,
                  logSum[at + i], along);
    }
    stripProduct({scores, 1, keyStride}, dOuts, width, dValues, width, tile.keys, tile.rows, width, true);
    stripProduct({dScores, 1, keyStride}, queries, width, dKeys, width, tile.keys, tile.rows, width, true);
    stripProduct({dScores, keyStride, 1}, keys, width, dQueries, width, tile.rows, tile.keys, width, false);
    copyOut(dQueries, width, dq + at * head.qStride, head.qStride, tile.rows, head.headWidth);
  }
  copyOut(dKeys, width, dk, head.kvStride, head.keys, head.headWidth);
  copyOut(dValues, width, dv, head.kvStride, head.keys, head.headWidth);
}

}  // namespace

void fillAttentionGradient(Kernels& table) { table.attentionGradient = attentionGradient; }

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
