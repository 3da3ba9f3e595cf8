// Matrix products by cuBLASLt, which is loaded when the device is opened: nothing of it is needed to build or to run on CPUs.
// Its header is not needed either: what follows declares the few functions and numbers of its public interface that are used.
#include "product.h"

#include <dlfcn.h>

#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>

#include "runtime.h"

namespace lockstep::cuda {
namespace {

// ---- cuBLASLt, https://docs.nvidia.com/cuda/cublas/#using-the-cublaslt-api

using Status = int;
using Handle = void*;
struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspaceBytes;
  Status state;
  float waves;
  int reserved[4];
};

constexpr int kFloat32 = 0, kBfloat16 = 14;              // cudaDataType_t
constexpr int kComputeFloat32 = 68, kComputeTf32 = 77;  // cublasComputeType_t
constexpr int kTransposeA = 3, kTransposeB = 4, kEpilogue = 7, kBiasPointer = 8;  // of a product's description
constexpr int kWorkspaceBytes = 1, kReductions = 3, kAlignments[] = {5, 6, 7, 8};  // of a preference; A, B, C, D
constexpr uint32_t kEpilogueDefault = 1, kEpilogueRelu = 2, kEpilogueBias = 4;
constexpr uint32_t kReduceInComputeType = 2;  // or not at all: partial sums are never rounded to the output's format

struct Library {
  Status (*create)(Handle*);
  size_t (*version)();
  Status (*descriptionCreate)(void**, int computeType, int scaleType);
  Status (*descriptionSet)(void*, int attribute, const void*, size_t);
  Status (*layoutCreate)(void**, int type, uint64_t rows, uint64_t columns, int64_t stride);
  Status (*preferenceCreate)(void**);
  Status (*preferenceSet)(void*, int attribute, const void*, size_t);
  Status (*heuristic)(Handle, void*, void*, void*, void*, void*, void*, int, Heuristic*, int*);
  Status (*matmul)(Handle, void*, const void* alpha, const void* a, void* aLayout, const void* b, void* bLayout,
                   const void* beta, const void* c, void* cLayout, void* d, void* dLayout, const Algorithm*,
                   void* workspace, size_t workspaceBytes, cudaStream_t);
  Handle handle;
};

void* openLibrary() {
  // Names the library where it is on no search path, such as in a Python environment.
  const char* const named = std::getenv("LOCKSTEP_CUBLASLT");
  if (named) {
    if (void* const library = dlopen(named, RTLD_NOW | RTLD_LOCAL)) return library;
    throw std::runtime_error("cuBLASLt does not load from LOCKSTEP_CUBLASLT: " + std::string(dlerror()));
  }
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "/usr/local/cuda/lib64/libcublasLt.so"}) {
    if (void* const library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
  }
  throw std::runtime_error(
      "cuBLASLt was not found: install libcublas of CUDA 12 or 13, or set LOCKSTEP_CUBLASLT to the path of libcublasLt.so");
}

void succeed(Status status, const char* what) {
  if (status != 0) throw std::runtime_error("cuBLASLt: " + std::string(what) + " failed with status " + std::to_string(status));
}

const Library& library() {
  static const Library loaded = [] {
    void* const from = openLibrary();
    Library made;
    const auto find = [from](auto& function, const char* name) {
      void* const address = dlsym(from, name);
      if (!address) throw std::runtime_error("cuBLASLt has no function " + std::string(name));
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
    };
    find(made.create, "cublasLtCreate");
    find(made.version, "cublasLtGetVersion");
    find(made.descriptionCreate, "cublasLtMatmulDescCreate");
    find(made.descriptionSet, "cublasLtMatmulDescSetAttribute");
    find(made.layoutCreate, "cublasLtMatrixLayoutCreate");
    find(made.preferenceCreate, "cublasLtMatmulPreferenceCreate");
    find(made.preferenceSet, "cublasLtMatmulPreferenceSetAttribute");
    find(made.heuristic, "cublasLtMatmulAlgoGetHeuristic");
    find(made.matmul, "cublasLtMatmul");
    succeed(made.create(&made.handle), "its start");
    return made;
  }();
  return loaded;
}

// ---- one plan for each kind of product, made at its first use and kept: the algorithm cannot change within a run

constexpr size_t kMostWorkspace = 32 << 20;

struct Plan {
  void *description, *a, *b, *out;
  Algorithm algorithm;
  size_t workspaceBytes;
};

using Key = std::tuple<int64_t, int64_t, int64_t, bool, bool, Format, Format, bool, bool, bool, uint32_t, uint32_t, uint32_t>;

// Parameters and their gradients begin anywhere in a flat vector.
uint32_t alignmentOf(const void* memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory);
  uint32_t alignment = 256;
  while (address % alignment != 0) alignment /= 2;
  return alignment;
}

// Of what the epilogue writes and reads: cuBLASLt asks for no alignment of a bias by itself.
uint32_t outputAlignment(const Product& p) {
  const uint32_t ofOut = alignmentOf(p.out), ofBias = p.bias ? alignmentOf(p.bias) : ofOut;
  return ofOut < ofBias ? ofOut : ofBias;
}

int typeOf(Format format) { return format == Format::float32 ? kFloat32 : kBfloat16; }

// cuBLASLt's matrices are column-major: it is asked for the transpose, outᵀ[n,m] = bᵀ · aᵀ.
Plan makePlan(const Product& p, bool tf32) {
  const Library& lt = library();
  Plan plan;
  succeed(lt.descriptionCreate(&plan.description, tf32 ? kComputeTf32 : kComputeFloat32, kFloat32), "a description");
  const auto describe = [&](int attribute, const auto& value) {
    succeed(lt.descriptionSet(plan.description, attribute, &value, sizeof value), "an attribute");
  };
  describe(kTransposeA, static_cast<int32_t>(p.b.transposed));
  describe(kTransposeB, static_cast<int32_t>(p.a.transposed));
  const uint32_t epilogue = (p.relu ? kEpilogueRelu : 0) | (p.bias ? kEpilogueBias : 0);
  describe(kEpilogue, epilogue ? epilogue : kEpilogueDefault);
  if (p.bias) describe(kBiasPointer, p.bias);

  const auto layout = [&](void** made, const Factor& factor, int64_t rows, int64_t columns) {
    if (factor.transposed) std::swap(rows, columns);
    succeed(lt.layoutCreate(made, typeOf(factor.format), columns, rows, columns), "a layout");
  };
  layout(&plan.a, p.b, p.k, p.n);
  layout(&plan.b, p.a, p.m, p.k);
  layout(&plan.out, {p.out, p.format}, p.m, p.n);

  void* preference;
  succeed(lt.preferenceCreate(&preference), "a preference");
  succeed(lt.preferenceSet(preference, kWorkspaceBytes, &kMostWorkspace, sizeof kMostWorkspace), "a preference");
  succeed(lt.preferenceSet(preference, kReductions, &kReduceInComputeType, sizeof kReduceInComputeType), "a preference");
  const uint32_t alignments[] = {alignmentOf(p.b.elements), alignmentOf(p.a.elements), outputAlignment(p), outputAlignment(p)};
  for (int i = 0; i < 4; i++) {
    succeed(lt.preferenceSet(preference, kAlignments[i], &alignments[i], sizeof alignments[i]), "a preference");
  }
  Heuristic best;
  int found = 0;
  succeed(lt.heuristic(lt.handle, plan.description, plan.a, plan.b, plan.out, plan.out, preference, 1, &best, &found),
          "the choice of an algorithm");
  if (found == 0) throw std::runtime_error("cuBLASLt has no algorithm for a product of these sizes");
  plan.algorithm = best.algorithm;
  plan.workspaceBytes = best.workspaceBytes;
  return plan;
}

}  // namespace

void multiply(const Product& p, bool tf32) {
  if (p.m == 0 || p.n == 0) return;
  if (p.k == 0) {  // a gradient over no rows
    const int64_t bytes = p.m * p.n * (p.format == Format::float32 ? 4 : 2);
    return p.accumulate ? void() : lockstepCudaDevice()->zero(p.out, bytes);
  }
  static std::map<Key, Plan> plans;
  const Key key = {p.m, p.k, p.n, p.a.transposed, p.b.transposed, p.a.format, p.format, p.bias != nullptr, p.relu, tf32,
                   alignmentOf(p.a.elements), alignmentOf(p.b.elements), outputAlignment(p)};
  auto found = plans.find(key);
  if (found == plans.end()) found = plans.emplace(key, makePlan(p, tf32)).first;
  const Plan& plan = found->second;
  const Library& lt = library();
  if (p.bias) {
    succeed(lt.descriptionSet(plan.description, kBiasPointer, &p.bias, sizeof p.bias), "an attribute");
  }
  const float beta = p.accumulate ? 1 : 0;
  workComes();
  void* const workspace = scratchBytes(Scratch::product, static_cast<int64_t>(plan.workspaceBytes));
  succeed(lt.matmul(lt.handle, plan.description, &p.scale, p.b.elements, plan.a, p.a.elements, plan.b, &beta, p.out,
                    plan.out, p.out, plan.out, &plan.algorithm, workspace, plan.workspaceBytes, computeStream()),
          "a product");
}

int64_t productVersion() { return static_cast<int64_t>(library().version()); }

}  // namespace lockstep::cuda
