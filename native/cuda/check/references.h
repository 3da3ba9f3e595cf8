// What the device's kernels compute, as plain loops in float64: the standard that check/kernels.cc holds them to. Matrices are row by
// row in vectors; shapes are those of ../../operations.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../../operations.h"
#include "../../philox.h"

namespace lockstep::check {

using Vector = std::vector<double>;

inline Vector zeros(int64_t count) { return Vector(static_cast<size_t>(count)); }

inline double dropoutFactor(const Dropout& d, int64_t index) {
  if (d.rate == 0) return 1;
  const uint32_t word = philoxWord(static_cast<uint64_t>(index), d.key.seed, d.site, d.key.microBatch, d.key.step);
  return word >= d.threshold() ? 1 / (1 - d.rate) : 0;
}

// [m,n] = a · b, of which either may be given as its transpose.
inline Vector product(const Vector& a, const Vector& b, int64_t m, int64_t k, int64_t n, bool transposeA, bool transposeB) {
  Vector out = zeros(m * n);
  for (int64_t i = 0; i < m; i++) {
    for (int64_t l = 0; l < k; l++) {
      const double left = a[transposeA ? l * m + i : i * k + l];
      for (int64_t j = 0; j < n; j++) out[i * n + j] += left * b[transposeB ? j * k + l : l * n + j];
    }
  }
  return out;
}

inline double normalCdf(double x) { return 0.5 * std::erfc(-x * std::sqrt(0.5)); }

inline double logistic(double x) { return 1 / (1 + std::exp(-x)); }

inline double activated(double z, Activation activation) {
  switch (activation) {
    case Activation::relu: return z > 0 ? z : 0;
    case Activation::gelu: return z * normalCdf(z);
    case Activation::swish: return z * logistic(z);
    case Activation::none: break;
  }
  return z;
}

// By what is saved: z for gelu and swish, z or relu(z) for relu.
inline double slope(double saved, Activation activation) {
  switch (activation) {
    case Activation::relu: return saved > 0 ? 1 : 0;
    case Activation::gelu:
      return normalCdf(saved) + saved * std::exp(-saved * saved / 2) / std::sqrt(2 * 3.14159265358979323846);
    case Activation::swish: return logistic(saved) * (1 + saved * logistic(-saved));
    case Activation::none: break;
  }
  return 1;
}

struct LinearGradient {
  Vector dx, dw, db;
};

inline LinearGradient linearGradient(const Vector& dy, const Vector& x, const Vector& w, const Vector& saved, int64_t m, int64_t k,
                                     int64_t n, Activation activation) {
  Vector dx = product(dy, w, m, n, k, false, false), db = zeros(n);
  for (int64_t i = 0; i < m * k; i++) dx[i] *= slope(saved[i], activation);
  for (int64_t i = 0; i < m * n; i++) db[i % n] += dy[i];
  return {dx, product(dy, x, n, m, k, true, false), db};
}

// Attention of whole batches: the weights of one query of one head, and what the kernels give.
struct Attention {
  const AttentionShape& s;
  const Vector &query, &memory;
  const std::vector<int32_t>& lengths;

  int64_t qAt(int64_t b, int64_t h, int64_t i) const { return s.qOffset + (b * s.queries + i) * s.qStride + h * s.headWidth; }
  int64_t kAt(int64_t b, int64_t h, int64_t j) const { return s.kOffset + (b * s.keys + j) * s.kvStride + h * s.headWidth; }
  int64_t vAt(int64_t b, int64_t h, int64_t j) const { return kAt(b, h, j) - s.kOffset + s.vOffset; }
  int64_t outAt(int64_t b, int64_t h, int64_t i) const { return ((b * s.queries + i) * s.heads + h) * s.headWidth; }

  // Calls body(b, h, i, weights, logSum): weights of the keys that the query sees.
  template <typename Body>
  void eachQuery(const Body& body) const {
    for (int64_t b = 0; b < s.batch; b++) {
      for (int64_t h = 0; h < s.heads; h++) {
        for (int64_t i = 0; i < s.queries; i++) {
          Vector weights = zeros(s.visible(i, lengths[b]));
          double largest = -INFINITY, sum = 0;
          for (size_t j = 0; j < weights.size(); j++) {
            weights[j] = dot(query, qAt(b, h, i), memory, kAt(b, h, static_cast<int64_t>(j))) / std::sqrt(double(s.headWidth));
            largest = std::max(largest, weights[j]);
          }
          for (double& weight : weights) sum += weight = std::exp(weight - largest);
          for (double& weight : weights) weight /= sum;
          body(b, h, i, weights, weights.empty() ? 0 : largest + std::log(sum));
        }
      }
    }
  }

  double dot(const Vector& a, int64_t aAt, const Vector& b, int64_t bAt) const {
    double sum = 0;
    for (int64_t d = 0; d < s.headWidth; d++) sum += a[aAt + d] * b[bAt + d];
    return sum;
  }

  void add(Vector& to, int64_t at, double factor, const Vector& from, int64_t fromAt) const {
    for (int64_t d = 0; d < s.headWidth; d++) to[at + d] += factor * from[fromAt + d];
  }

  void forward(Vector& out, Vector& logSum) const {
    eachQuery([&](int64_t b, int64_t h, int64_t i, const Vector& weights, double ofQuery) {
      logSum[(b * s.heads + h) * s.queries + i] = ofQuery;
      for (size_t j = 0; j < weights.size(); j++) add(out, outAt(b, h, i), weights[j], memory, vAt(b, h, static_cast<int64_t>(j)));
    });
  }

  void backward(const Vector& dOut, Vector& dQuery, Vector& dMemory) const {
    eachQuery([&](int64_t b, int64_t h, int64_t i, const Vector& weights, double) {
      Vector toward = zeros(static_cast<int64_t>(weights.size()));
      double along = 0;
      for (size_t j = 0; j < weights.size(); j++) {
        toward[j] = dot(dOut, outAt(b, h, i), memory, vAt(b, h, static_cast<int64_t>(j)));
        along += weights[j] * toward[j];
      }
      for (size_t j = 0; j < weights.size(); j++) {
        const int64_t key = static_cast<int64_t>(j);
        const double dScore = weights[j] * (toward[j] - along) / std::sqrt(double(s.headWidth));
        add(dQuery, qAt(b, h, i), dScore, memory, kAt(b, h, key));
        add(dMemory, kAt(b, h, key), dScore, query, qAt(b, h, i));
        add(dMemory, vAt(b, h, key), weights[j], dOut, outAt(b, h, i));
      }
    });
  }
};

struct Norm {
  Vector sum, y, stats;
};

inline Norm addDropoutNorm(const Vector& residual, const Vector& x, const Vector& gamma, const Vector& beta, int64_t rows,
                           int64_t width, double epsilon, const Dropout& dropout) {
  Norm out = {zeros(rows * width), zeros(rows * width), zeros(rows * 2)};
  for (int64_t r = 0; r < rows; r++) {
    double mean = 0, variance = 0;
    for (int64_t i = r * width; i < (r + 1) * width; i++) {
      out.sum[i] = residual[i] + x[i] * dropoutFactor(dropout, i);
      mean += out.sum[i] / double(width);
    }
    for (int64_t i = r * width; i < (r + 1) * width; i++) variance += std::pow(out.sum[i] - mean, 2) / double(width);
    const double inverse = 1 / std::sqrt(variance + epsilon);
    for (int64_t j = 0; j < width; j++) out.y[r * width + j] = (out.sum[r * width + j] - mean) * inverse * gamma[j] + beta[j];
    out.stats[r * 2] = mean;
    out.stats[r * 2 + 1] = inverse;
  }
  return out;
}

struct NormGradient {
  Vector dResidual, dx, dGamma, dBeta;
};

inline NormGradient addDropoutNormGradient(const Vector& dy, const Vector& dSum, const Vector& sum, const Vector& gamma,
                                           const Vector& stats, int64_t rows, int64_t width, const Dropout& dropout) {
  NormGradient out = {zeros(rows * width), zeros(rows * width), zeros(width), zeros(width)};
  for (int64_t r = 0; r < rows; r++) {
    const double mean = stats[r * 2], inverse = stats[r * 2 + 1];
    double along = 0, alongNormed = 0;
    const auto normed = [&](int64_t j) { return (sum[r * width + j] - mean) * inverse; };
    for (int64_t j = 0; j < width; j++) {
      const double d = dy[r * width + j];
      along += d * gamma[j] / double(width);
      alongNormed += d * gamma[j] * normed(j) / double(width);
      out.dGamma[j] += d * normed(j);
      out.dBeta[j] += d;
    }
    for (int64_t j = 0; j < width; j++) {
      const int64_t i = r * width + j;
      out.dResidual[i] = (dy[i] * gamma[j] - along - normed(j) * alongNormed) * inverse + dSum[i];
      out.dx[i] = out.dResidual[i] * dropoutFactor(dropout, i);
    }
  }
  return out;
}

struct Loss {
  double loss = 0, correct = 0;
  Vector dLogits;
};

// logits are those of the rows that carry loss.
inline Loss crossEntropy(const Vector& logits, const std::vector<int32_t>& labels, int64_t vocabulary, double smoothing) {
  Loss out;
  out.dLogits = logits;
  for (size_t r = 0; r < labels.size(); r++) {
    double* const z = out.dLogits.data() + static_cast<int64_t>(r) * vocabulary;
    const double largest = *std::max_element(z, z + vocabulary), even = smoothing / double(vocabulary);
    double sum = 0;
    for (int64_t j = 0; j < vocabulary; j++) sum += std::exp(z[j] - largest);
    const double logSum = largest + std::log(sum);
    if (z[labels[r]] == largest) out.correct++;
    for (int64_t j = 0; j < vocabulary; j++) {
      const double target = even + (j == labels[r] ? 1 - smoothing : 0);
      out.loss += target * (logSum - z[j]);
      z[j] = std::exp(z[j] - logSum) - target;
    }
  }
  return out;
}

}  // namespace lockstep::check
