// Gradient of one head's attention: the probabilities are computed again from the saved log-sums, tile by tile
// (as in FlashAttention, Dao et al. 2022); dk and dv grow over the tiles in ascending order of queries.
#include "isa/attention.h"

namespace lockstep {
namespace LOCKSTEP_ISA {
namespace {

// Turns a row of scores into probabilities and a row of dP into the gradient of the unscaled scores, both zero
// from `keys` to `end`.
template <typename Kept>
LANES_INLINE void rowGradient(const float* scores, const float* dP, Kept* weights, Kept* dScores, int64_t keys, int64_t end,
                              float scale, float logSum, float along) {
  const Floats factor = all(scale), offset = all(0.0f - logSum);
  forLanes(keys, [=](int64_t j, int64_t count) {
    const Floats p = firstLanes(exponential(fused(load(scores + j), factor, offset)), count, Floats{});
    const Floats d = firstLanes((p * (load(dP + j) - along)) * factor, count, Floats{});
    storeSome(weights + j, p, kLanes);
    storeSome(dScores + j, d, kLanes);
  });
  zeroLanes(weights, wholeLanes(keys), end);
  zeroLanes(dScores, wholeLanes(keys), end);
}

template <typename T>
LANES_INLINE float dot(const T* a, const T* b, int64_t width) {
  Floats sum = {};
  forLanes(width, [&](int64_t d, int64_t count) { sum += loadSome(a + d, count) * loadSome(b + d, count); });
  return sumLanes(sum);
}

template <typename T>
void copyOut(const float* from, int64_t fromStride, T* to, int64_t toStride, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; r++) {
    forLanes(width, [=](int64_t d, int64_t count) {
      storeSome(to + r * toStride + d, load(from + r * fromStride + d), count);
    });
  }
}

// Queries, keys, values, outputs and their gradients are numbers of type T.
template <typename Layout, typename T>
void attentionGradientOf(const AttentionHead& head, const T* out, const float* logSum, const T* dOut, T* dq, T* dk, T* dv,
                         float* scratch) {
  typedef typename Layout::Unit Unit;
  const T* const allQ = static_cast<const T*>(head.q.data);
  const T* const k = static_cast<const T*>(head.k.data);
  const T* const v = static_cast<const T*>(head.v.data);
  const int64_t keyStride = wholeLanes(head.keys), width = wholeLanes(head.headWidth);
  const int64_t headDepth = Layout::depth(head.headWidth);
  const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(head.headWidth));
  Parts parts = {scratch};
  const int64_t keySpan = Layout::span(head.keys), headSpan = Layout::span(head.headWidth);
  const int64_t tileSpan = Layout::span(kQueryTile);
  Unit* keysT = parts.units<Unit>(headSpan * keyStride);    // [depth of headWidth][keyStride]
  Unit* valuesT = parts.units<Unit>(headSpan * keyStride);  // [depth of headWidth][keyStride]
  Unit* keys = parts.units<Unit>(keySpan * width);          // [depth of keys][width]
  float* dKeys = parts.floats(2 * keyStride * width);       // [keys][width]
  float* dValues = dKeys + keyStride * width;               // [keys][width]
  float* scores = parts.floats(kQueryTile * keyStride);     // [64][keyStride]
  float* dP = parts.floats(kQueryTile * keyStride);         // [64][keyStride]
  typename Layout::Kept* weights = parts.kept<Layout>(scores, kQueryTile * keyStride);
  typename Layout::Kept* dScores = parts.kept<Layout>(dP, kQueryTile * keyStride);
  // Either of them or its transpose, where that is another layout.
  const int64_t byRows = kQueryTile * keySpan, byColumns = tileSpan * keyStride;
  Unit* operand = parts.units<Unit>(byRows > byColumns ? byRows : byColumns);
  Unit* rows = parts.units<Unit>(kQueryTile * headSpan);    // a tile of queries or of dOut
  Unit* queries = parts.units<Unit>(tileSpan * width);      // [depth of 64][width]
  Unit* dOuts = parts.units<Unit>(tileSpan * width);        // [depth of 64][width]
  float* dQueries = parts.floats(kQueryTile * width);       // [64][width]
  const auto prefetchTile = [&](int64_t at) {
    prefetchRows(allQ, head.qStride, at, tileEnd(head, at), head.headWidth);
    prefetchRows(dOut, head.outStride, at, tileEnd(head, at), head.headWidth);
    prefetchRows(out, head.outStride, at, tileEnd(head, at), head.headWidth);
  };
  prefetchRows(k, head.kvStride, 0, head.keys, head.headWidth);
  prefetchRows(v, head.kvStride, 0, head.keys, head.headWidth);
  prefetchTile(0);
  Layout::transposed(k, head.kvStride, head.keys, head.headWidth, keysT);
  Layout::transposed(v, head.kvStride, head.keys, head.headWidth, valuesT);
  Layout::stacked(k, head.kvStride, head.keys, head.headWidth, keys);
  zeroFloats(dKeys, 2 * keyStride * width);

  for (int64_t at = 0; at < head.queries; at += kQueryTile) {
    const QueryTile tile(head, at);
    prefetchTile(at + kQueryTile);
    const int64_t contracted = Layout::someOf(head.keys, tile.keys), end = wholeLanes(contracted);
    const int64_t queryDepth = Layout::depth(tile.rows);
    const T* q = allQ + at * head.qStride;
    const T* dO = dOut + at * head.outStride;
    Layout::stacked(q, head.qStride, tile.rows, head.headWidth, queries);
    Layout::stacked(dO, head.outStride, tile.rows, head.headWidth, dOuts);
    stripProduct<Unit>(Layout::left(q, head.qStride, tile.rows, head.headWidth, rows), keysT, keyStride, scores,
                       keyStride, tile.rows, headDepth, end, false);
    stripProduct<Unit>(Layout::left(dO, head.outStride, tile.rows, head.headWidth, rows), valuesT, keyStride, dP,
                       keyStride, tile.rows, headDepth, end, false);
    for (int64_t i = 0; i < tile.rows; i++) {
      const float along = dot(dO + i * head.outStride, out + (at + i) * head.outStride, head.headWidth);
      const int64_t row = i * keyStride;
      rowGradient(scores + row, dP + row, weights + row, dScores + row, visible(head, at + i), end, scale, logSum[at + i],
                  along);
    }
    stripProduct<Unit>(Layout::across(weights, keyStride, tile.rows, end, operand), dOuts, width, dValues, width,
                       tile.keys, queryDepth, width, true);
    stripProduct<Unit>(Layout::across(dScores, keyStride, tile.rows, end, operand), queries, width, dKeys, width,
                       tile.keys, queryDepth, width, true);
    stripProduct<Unit>(Layout::left(dScores, keyStride, tile.rows, contracted, operand), keys, width, dQueries,
                       width, tile.rows, Layout::depth(contracted), width, false);
    copyOut(dQueries, width, dq + at * head.qStride, head.qStride, tile.rows, head.headWidth);
  }
  copyOut(dKeys, width, dk, head.kvStride, head.keys, head.headWidth);
  copyOut(dValues, width, dv, head.kvStride, head.keys, head.headWidth);
}

void attentionGradient(const AttentionHead& head, Activations out, const float* logSum, Activations dOut, Activations dq,
                       Activations dk, Activations dv, float* scratch) {
  withLayout(head.precision, out, [&](auto layout, auto* numbers) {
    typedef decltype(numbers) Pointer;
    attentionGradientOf<decltype(layout)>(head, numbers, logSum, static_cast<Pointer>(dOut.data),
                                          static_cast<Pointer>(dq.data), static_cast<Pointer>(dk.data),
                                          static_cast<Pointer>(dv.data), scratch);
  });
}

}  // namespace

void fillAttentionGradient(Kernels& table) { table.attentionGradient = attentionGradient; }

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
