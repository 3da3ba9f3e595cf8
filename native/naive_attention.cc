// Attention as plain loops with float64 sums, one query at a time. See naive_model.cc.
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
  for (int64_t i = 0; i < count; i++) sum += double(asOperand(a[i], precision)) * asOperand(b[i], precision);
  return sum;
}

void attention(const float* query, const float* memory, const int32_t* lengths, float* out, float* logSum,
               const AttentionShape& s) {
  const double scale = 1 / std::sqrt(double(s.headWidth));
  std::vector<double> scores(s.keys), row(s.headWidth);
  for (int64_t b = 0; b < s.batch; b++) {
    for (int64_t h = 0; h < s.heads; h++) {
      const Head head(query, memory, s, b, h);
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
            const float weight = asOperand(static_cast<float>(std::exp(scores[j] - largest)), s.precision);
            value += weight / sum * asOperand(head.v[j * s.kvStride + d], s.precision);
          }
          out[head.outAt + i * s.heads * s.headWidth + d] = static_cast<float>(value);
        }
        logSum[head.logSumAt + i] = visible > 0 ? static_cast<float>(largest + std::log(sum)) : 0;
      }
    }
  }
}

void attentionGradient(const float* query, const float* memory, const int32_t* lengths, const float* out,
                       const float* logSum, const float* dOut, float* dQuery, float* dMemory,
                       const AttentionShape& s) {
  const double scale = 1 / std::sqrt(double(s.headWidth));
  const int64_t width = s.heads * s.headWidth;
  for (int64_t b = 0; b < s.batch; b++) {
    for (int64_t h = 0; h < s.heads; h++) {
      const Head head(query, memory, s, b, h);
      std::vector<double> dk(s.keys * s.headWidth), dv(s.keys * s.headWidth);
      for (int64_t i = 0; i < s.queries; i++) {
        const float* o = out + head.outAt + i * width;
        const float* dO = dOut + head.outAt + i * width;
        const double along = dot(o, dO, s.headWidth, Precision::float32);
        std::vector<double> dq(s.headWidth);
        for (int64_t j = 0; j < s.visible(i, lengths[b]); j++) {
          const float* q = head.q + i * s.qStride;
          const float* k = head.k + j * s.kvStride;
          const double p = std::exp(scale * dot(q, k, s.headWidth, s.precision) - logSum[head.logSumAt + i]);
          const double dScore = p * (dot(dO, head.v + j * s.kvStride, s.headWidth, s.precision) - along) * scale;
          for (int64_t d = 0; d < s.headWidth; d++) {
            const double factor = asOperand(static_cast<float>(dScore), s.precision);
            dq[d] += factor * asOperand(k[d], s.precision);
            dk[j * s.headWidth + d] += factor * asOperand(q[d], s.precision);
            dv[j * s.headWidth + d] += double(asOperand(static_cast<float>(p), s.precision)) * asOperand(dO[d], s.precision);
          }
        }
        for (int64_t d = 0; d < s.headWidth; d++) {
          dQuery[head.qAt + i * s.qStride + d] = static_cast<float>(dq[d]);
        }
      }
      for (int64_t j = 0; j < s.keys; j++) {
        for (int64_t d = 0; d < s.headWidth; d++) {
          dMemory[head.kAt + j * s.kvStride + d] = static_cast<float>(dk[j * s.headWidth + d]);
          dMemory[head.vAt + j * s.kvStride + d] = static_cast<float>(dv[j * s.headWidth + d]);
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
