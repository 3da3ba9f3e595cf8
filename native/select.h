// Which instruction set the vector kernels run on.
#pragma once

#include <string>

#include "isa/kernels.h"

namespace lockstep {

// Ascending.
constexpr const char* kInstructionSets[] = {"sse2", "avx2", "avx512", "avx512bf16", "amx"};

// Those of the best instruction set this machine has, up to the one that LOCKSTEP_ISA in the environment names.
const Kernels& bestKernels();

// The kernels in force: the best, unless others were chosen.
const Kernels& kernels();

// Chooses an instruction set for the whole process, or the best there is below it.
void chooseIsa(const std::string& name);

}  // namespace lockstep
