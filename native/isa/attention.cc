// Attention of one head: tiles of 64 queries against all the keys they see. Nothing larger than one tile's scores
// is ever in memory.
#include "isa/attention.h"

namespace lockstep {
namespace LOCKSTEP_ISA {
namespace {

LANES_INLINE float largestOf(const float* scores, int64_t count) {
  const auto larger = [](Floats a, Floats b) { return select(a > b, a, b); };
  const Floats lowest = all(-__builtin_inff());
  Floats tops[4] = {lowest, lowest, lowest, lowest};  // four chains: one alone waits for each of its steps
  int64_t j = 0;
  for (; j + 4 * kLanes <= count; j += 4 * kLanes) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) tops[i] = larger(load(scores + j + i * kLanes), tops[i]);
  }
  for (; j < count; j += kLanes) tops[0] = larger(firstLanes(load(scores + j), count - j, lowest), tops[0]);
  return maxLanes(larger(larger(tops[3], tops[2]), larger(tops[1], tops[0])));
}

// weights[0, keys) become e^(scale * score - largest), those in [keys, end) 0. Returns their sum, and the largest
// scaled score.
template <typename Kept>
LANES_INLINE float exponentials(const float* scores, Kept* weights, int64_t keys, int64_t end, float scale, float* largest) {
  *largest = largestOf(scores, keys) * scale;
  const Floats factor = all(scale), offset = all(0.0f - *largest);
  Floats sum = {};
  forLanes(keys, [&](int64_t j, int64_t count) {
    const Floats e = firstLanes(exponential(fused(load(scores + j), factor, offset)), count, Floats{});
    storeSome(weights + j, e, kLanes);
    sum += e;
  });
  zeroLanes(weights, wholeLanes(keys), end);
  return sumLanes(sum);
}

// q, k, v and out are numbers of type T.
template <typename Layout, typename T>
void attentionOf(const AttentionHead& head, T* out, float* logSum, float* scratch) {
  typedef typename Layout::Unit Unit;
  const T* const q = static_cast<const T*>(head.q.data);
  const T* const k = static_cast<const T*>(head.k.data);
  const T* const v = static_cast<const T*>(head.v.data);
  const int64_t keyStride = wholeLanes(head.keys), width = wholeLanes(head.headWidth);
  const int64_t headDepth = Layout::depth(head.headWidth);
  const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(head.headWidth));
  Parts parts = {scratch};
  const int64_t keySpan = Layout::span(head.keys), headSpan = Layout::span(head.headWidth);
  Unit* keysT = parts.units<Unit>(headSpan * keyStride);    // [depth of headWidth][keyStride]
  Unit* values = parts.units<Unit>(keySpan * width);        // [depth of keys][width]
  float* scores = parts.floats(kQueryTile * keyStride);     // [64][keyStride]
  typename Layout::Kept* weights = parts.kept<Layout>(scores, kQueryTile * keyStride);
  Unit* operand = parts.units<Unit>(kQueryTile * keySpan);  // the weights, where that is another layout
  float* mixed = parts.floats(kQueryTile * width);          // [64][width]
  Unit* queries = parts.units<Unit>(kQueryTile * headSpan);
  const auto prefetchTile = [&](int64_t at) { prefetchRows(q, head.qStride, at, tileEnd(head, at), head.headWidth); };
  prefetchRows(k, head.kvStride, 0, head.keys, head.headWidth);
  prefetchRows(v, head.kvStride, 0, head.keys, head.headWidth);
  prefetchTile(0);
  Layout::transposed(k, head.kvStride, head.keys, head.headWidth, keysT);
  Layout::stacked(v, head.kvStride, head.keys, head.headWidth, values);
  for (int64_t at = 0; at < head.queries; at += kQueryTile) {
    const QueryTile tile(head, at);
    prefetchTile(at + kQueryTile);
    const int64_t keys = Layout::someOf(head.keys, tile.keys), end = wholeLanes(keys);
    const Matrix<Unit> some = Layout::left(q + at * head.qStride, head.qStride, tile.rows, head.headWidth, queries);
    stripProduct<Unit>(some, keysT, keyStride, scores, keyStride, tile.rows, headDepth, end, false);
    float sums[kQueryTile], largest[kQueryTile], inverse[kQueryTile];
    for (int64_t i = 0; i < tile.rows; i++) {
      sums[i] = exponentials(scores + i * keyStride, weights + i * keyStride, visible(head, at + i), end, scale, &largest[i]);
    }
    for (int64_t i = 0; i < tile.rows; i++) {  // apart: a logarithm is one long chain, of which several then go at once
      const bool seesAny = visible(head, at + i) > 0;  // a query that sees nothing gets zeros
      inverse[i] = seesAny ? 1.0f / sums[i] : 0.0f;
      logSum[at + i] = seesAny ? static_cast<float>(largest[i] + logarithm(sums[i])) : 0.0f;
    }
    const Matrix<Unit> p = Layout::left(weights, keyStride, tile.rows, keys, operand);
    stripProduct<Unit>(p, values, width, mixed, width, tile.rows, Layout::depth(keys), width, false);
    for (int64_t i = 0; i < tile.rows; i++) {
      forLanes(head.headWidth, [&](int64_t d, int64_t count) {
        storeSome(out + (at + i) * head.outStride + d, load(mixed + i * width + d) * inverse[i], count);
      });
    }
  }
}

void attention(const AttentionHead& head, Activations out, float* logSum, float* scratch) {
  withLayout(head.precision, out, [&](auto layout, auto* numbers) {
    attentionOf<decltype(layout)>(head, numbers, logSum, scratch);
  });
}

}  // namespace

void fillAttention(Kernels& table) { table.attention = attention; }

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
