// Residual + dropout + layer norm, in panels of 64 rows.
#include "field.h"
#include "operations.h"
#include "pool.h"
#include "scratch.h"
#include "select.h"

namespace lockstep {
namespace {

constexpr int64_t kRows = 64;

void addDropoutNorm(const float* residual, Activations x, const float* gamma, const float* beta, float* sum,
                    float* y, Activations operand, float* stats, int64_t rows, int64_t width, float epsilon,
                    const Dropout& dropout) {
  const DropoutField field = fieldOf(dropout);
  forPanelsOf(kRows, rows, [&](int64_t first, int64_t count) {
    float* const buffer = scratch(Slot::kernel, dropoutScratch(width));
    kernels().addDropoutNorm(residual, x, gamma, beta, sum, y, operand, stats, first, count, width, epsilon,
                             field, buffer);
  });
}

// The gradients of gamma and beta are sums over all rows: each panel's part is kept, and the parts are added in the
// order of the panels.
void addDropoutNormGradient(const float* dy, Activations dOperand, const float* dSum, const float* sum,
                            const float* gamma, const float* stats, float* dResidual, Activations dx, float* dGamma, float* dBeta,
                            int64_t rows, int64_t width, const Dropout& dropout) {
  const DropoutField field = fieldOf(dropout);
  const int64_t panels = ceilDiv(rows, kRows);
  float* const parts = scratch(Slot::parts, panels * 2 * width);  // gamma's, then beta's
  forPanelsOf(kRows, rows, [&](int64_t first, int64_t count) {
    float* const buffer = scratch(Slot::kernel, dropoutScratch(width));
    float* const part = parts + first / kRows * 2 * width;
    kernels().addDropoutNormGradient(dy, dOperand, dSum, sum, gamma, stats, dResidual, dx, part, part + width,
                                     first, count, width, field, buffer);
  });
  forPanels(2, [=](int64_t which) {
    kernels().columnSums(activations(parts + which * width), 2 * width, panels, width, which == 0 ? dGamma : dBeta);
  });
}

}  // namespace

void fillNorm(Operations& table) {
  table.addDropoutNorm = addDropoutNorm;
  table.addDropoutNormGradient = addDropoutNormGradient;
}

}  // namespace lockstep
