// Attention as plain loops with float64 sums, one query at a time. See naive_model.cc.
#include <algorithm>
#include <cmath>
#include <vector>

#include "naive.h"
#include "operations.h"

namespace lockstep {
namespace {

// The rows of one head of one sample.
struct Head {
  const float *q, *k, *v;
  int64_t qAt, kAt, vAt, outAt, logSumAt;

  Head(const float* query, const float* memory, const AttentionShape& s, int64_t b, int64_t h)
      : qAt(s.qOffset + b * s.queries * s.qStride + h * s.headWidth),
        kAt(s.kOffset + b * s.keys * s.kvStride + h * s.headWidth),
        vAt(s.vOffset + b * s.keys * s.kvStride + h * s.headWidth),
        outAt((b * s.queries * s.heads + h) * s.headWidth),
        logSumAt((b * s.heads + h) * s.queries) {
    q = query + qAt;
    k = memory + kAt;
    v = memory + vAt;
  }
};

double dot(const float* a, const float* b, int64_t count, Precision precision) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += multiplied(a[i], b[i], precision);
  return sum;
}

// Elements of an array whose last row ends at the width of the heads.
int64_t lengthOf(const AttentionShape& s, int64_t rows, int64_t stride, int64_t offset) {
  return rows > 0 ? offset + (rows - 1) * stride + s.heads * s.headWidth : 0;
}
std::vector<float> queriesOf(Activations query, const AttentionShape& s) {
  return numbersOf(query, lengthOf(s, s.batch * s.queries, s.qStride, s.qOffset));
}
std::vector<float> memoryOf(Activations memory, const AttentionShape& s) {
  return numbersOf(memory, lengthOf(s, s.batch * s.keys, s.kvStride, std::max(s.kOffset, s.vOffset)));
}

void attention(Activations query, Activations memory, const int32_t* lengths, Activations out, float* logSum,
               const AttentionShape& s) {
  const std::vector<float> queries = queriesOf(query, s), keysAndValues = memoryOf(memory, s);
  const double scale = 1 / std::sqrt(double(s.headWidth));
  std::vector<double> scores(s.keys), row(s.headWidth);
  for (int64_t b = 0; b < s.batch; b++) {
    for (int64_t h = 0; h < s.heads; h++) {
      const Head head(queries.data(), keysAndValues.data(), s, b, h);
      for (int64_t i = 0; i < s.queries; i++) {
        const int64_t visible = s.visible(i, lengths[b]);
        double largest = -INFINITY, sum = 0;
        for (int64_t j = 0; j < visible; j++) {
          scores[j] = scale * dot(head.q + i * s.qStride, head.k + j * s.kvStride, s.headWidth, s.precision);
          largest = std::fmax(largest, scores[j]);
        }
        for (int64_t j = 0; j < visible; j++) sum += std::exp(scores[j] - largest);
        for (int64_t d = 0; d < s.headWidth; d++) {
          double value = 0;
          for (int64_t j = 0; j < visible; j++) {
            const float weight = static_cast<float>(std::exp(scores[j] - largest));
            value += multiplied(weight, head.v[j * s.kvStride + d], s.precision) / sum;
          }
          put(out, head.outAt + i * s.heads * s.headWidth + d, static_cast<float>(value));
        }
        logSum[head.logSumAt + i] = visible > 0 ? static_cast<float>(largest + std::log(sum)) : 0;
      }
    }
  }
}

void attentionGradient(Activations query, Activations memory, const int32_t* lengths, Activations out, const float* logSum,
                       Activations dOut, Activations dQuery, Activations dMemory, const AttentionShape& s) {
  const std::vector<float> queries = queriesOf(query, s), keysAndValues = memoryOf(memory, s);
  const int64_t outputs = s.batch * s.queries * s.heads * s.headWidth;
  const std::vector<float> allO = numbersOf(out, outputs), allDO = numbersOf(dOut, outputs);
  const double scale = 1 / std::sqrt(double(s.headWidth));
  const int64_t width = s.heads * s.headWidth;
  for (int64_t b = 0; b < s.batch; b++) {
    for (int64_t h = 0; h < s.heads; h++) {
      const Head head(queries.data(), keysAndValues.data(), s, b, h);
      std::vector<double> dk(s.keys * s.headWidth), dv(s.keys * s.headWidth);
      for (int64_t i = 0; i < s.queries; i++) {
        const float* o = allO.data() + head.outAt + i * width;
        const float* dO = allDO.data() + head.outAt + i * width;
        const double along = dot(o, dO, s.headWidth, Precision::float32);
        std::vector<double> dq(s.headWidth);
        for (int64_t j = 0; j < s.visible(i, lengths[b]); j++) {
          const float* q = head.q + i * s.qStride;
          const float* k = head.k + j * s.kvStride;
          const double p = std::exp(scale * dot(q, k, s.headWidth, s.precision) - logSum[head.logSumAt + i]);
          const double dScore = p * (dot(dO, head.v + j * s.kvStride, s.headWidth, s.precision) - along) * scale;
          for (int64_t d = 0; d < s.headWidth; d++) {
            const float factor = static_cast<float>(dScore);
            dq[d] += multiplied(factor, k[d], s.precision);
            dk[j * s.headWidth + d] += multiplied(factor, q[d], s.precision);
            dv[j * s.headWidth + d] += multiplied(static_cast<float>(p), dO[d], s.precision);
          }
        }
        for (int64_t d = 0; d < s.headWidth; d++) {
          put(dQuery, head.qAt + i * s.qStride + d, static_cast<float>(dq[d]));
        }
      }
      for (int64_t j = 0; j < s.keys; j++) {
        for (int64_t d = 0; d < s.headWidth; d++) {
          put(dMemory, head.kAt + j * s.kvStride + d, static_cast<float>(dk[j * s.headWidth + d]));
          put(dMemory, head.vAt + j * s.kvStride + d, static_cast<float>(dv[j * s.headWidth + d]));
        }
      }
    }
  }
}

}  // namespace

void fillNaiveAttention(Operations& table) {
  table.attention = attention;
  table.attentionGradient = attentionGradient;
}

}  // namespace lockstep
