// Attention: one panel per head of each sample.
#include "operations.h"
#include "pool.h"
#include "scratch.h"
#include "select.h"

namespace lockstep {
namespace {

// Head `index` of the [B, H] heads, and where its rows begin in arrays of queries, keys, values and outputs.
struct Place {
  AttentionHead head;
  int64_t q, k, v, out, logSum;

  Place(Activations query, Activations memory, const int32_t* lengths, const AttentionShape& s,
        int64_t index) {
    const int64_t b = index / s.heads, column = index % s.heads * s.headWidth;
    q = s.qOffset + b * s.queries * s.qStride + column;
    k = s.kOffset + b * s.keys * s.kvStride + column;
    v = s.vOffset + b * s.keys * s.kvStride + column;
    out = b * s.queries * s.heads * s.headWidth + column;
    logSum = index * s.queries;
    head = {s.queries,      s.keys,          s.headWidth,     lengths[b], s.causal,   s.precision,
            from(query, q), from(memory, k), from(memory, v), s.qStride,  s.kvStride, s.heads * s.headWidth};
  }
};

void attention(Activations query, Activations memory, const int32_t* lengths, Activations out, float* logSum,
               const AttentionShape& shape) {
  forPanels(shape.batch * shape.heads, [&](int64_t index) {
    const Place place(query, memory, lengths, shape, index);
    float* const buffer = scratch(Slot::kernel, attentionScratch(shape.keys, shape.headWidth));
    kernels().attention(place.head, from(out, place.out), logSum + place.logSum, buffer);
  });
}

void attentionGradient(Activations query, Activations memory, const int32_t* lengths, Activations out, const float* logSum,
                       Activations dOut, Activations dQuery, Activations dMemory, const AttentionShape& shape) {
  forPanels(shape.batch * shape.heads, [&](int64_t index) {
    const Place place(query, memory, lengths, shape, index);
    float* const buffer = scratch(Slot::kernel, attentionGradientScratch(shape.keys, shape.headWidth));
    kernels().attentionGradient(place.head, from(out, place.out), logSum + place.logSum, from(dOut, place.out),
                                from(dQuery, place.q), from(dMemory, place.k), from(dMemory, place.v), buffer);
  });
}

}  // namespace

void fillAttention(Operations& table) {
  table.attention = attention;
  table.attentionGradient = attentionGradient;
}

}  // namespace lockstep
