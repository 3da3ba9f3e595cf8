// Which instruction set the vector kernels run on.
#pragma once

#include <string>

#include "isa/kernels.h"

namespace lockstep {

// The kernels in force: those of the best instruction set this machine has, unless a lower one was chosen.
const Kernels& kernels();

// Chooses an instruction set for the whole process ("sse2", "avx2", "avx512", "avx512bf16", "amx"), or the best there is below it.
void chooseIsa(const std::string& name);

}  // namespace lockstep
