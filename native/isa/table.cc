// The table of this instruction set's kernels; every other .cc file here fills its part.
#include "isa/kernels.h"

#define TEXT_OF(x) #x
#define NAME_OF(x) TEXT_OF(x)

namespace lockstep {
namespace LOCKSTEP_ISA {

void fillProduct(Kernels& table);
void fillLinear(Kernels& table);
void fillAttention(Kernels& table);
void fillAttentionGradient(Kernels& table);
void fillNorm(Kernels& table);
void fillEmbedding(Kernels& table);
void fillLoss(Kernels& table);
void fillVectors(Kernels& table);

void fillKernels(Kernels& table) {
  table.isa = NAME_OF(LOCKSTEP_ISA);
  fillProduct(table);
  fillLinear(table);
  fillAttention(table);
  fillAttentionGradient(table);
  fillNorm(table);
  fillEmbedding(table);
  fillLoss(table);
  fillVectors(table);
}

}  // namespace LOCKSTEP_ISA
}  // namespace lockstep
