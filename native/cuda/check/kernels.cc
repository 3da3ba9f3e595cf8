// Every kernel of the CUDA device against references in float64, on fresh random inputs: a program of its own, without Node.
//
//   lockstep-cuda-kernels [LIBRARY [SEED]]
//
// LIBRARY is lockstep-cuda.so beside the program, unless named; the emulation's has the same face. Prints a line for each kernel and
// ends with 0 when all are as exact as they should be, 1 when one is not, 2 when there is no device.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "array.h"
#include "references.h"

namespace lockstep::check {
namespace {

using cuda::Arithmetic;
using Ints = std::vector<int32_t>;

constexpr Activation kActivations[] = {Activation::none, Activation::relu, Activation::gelu, Activation::swish};

class Check {
 public:
  Check(const Device& device, Arithmetic arithmetic, uint64_t seed, bool isSmall)
      : device_(device), operations_(device.operations(arithmetic)), arithmetic_(arithmetic), isSmall_(isSmall), random_(seed) {}

  // Whether all kernels keep to the tolerance.
  bool run() {
    each("linear", [&] { linear(); });
    each("linearGradient", [&] { linearBackward(); });
    if (arithmetic_ != Arithmetic::bfloat16) each("matmul", [&] { matmul(); });
    each("attention", [&] { attention(false); });
    each("attentionGradient", [&] { attention(true); });
    each("addDropoutNorm", [&] { norm(); });
    each("addDropoutNormGradient", [&] { normBackward(); });
    each("embedding", [&] { embedding(); });
    each("embeddingGradient", [&] { embeddingBackward(); });
    each("crossEntropy", [&] { loss(false); });
    each("crossEntropyGradient", [&] { loss(true); });
    each("sum", [&] { sum(); });
    if (arithmetic_ == Arithmetic::float32) {
      each("add", [&] { add(); });
      each("bfloat16", [&] { conversions(); });
      each("sumOfSquares", [&] { sumOfSquares(); });
      each("adamW", [&] { adamW(); });
    }
    return isGood_;
  }

 private:
  // Three times with other sizes, of which one lies as vector loads need it and one does not.
  void each(const char* name, const std::function<void()>& body) {
    worst_ = 0;
    for (turn_ = 0; turn_ < 3; turn_++) body();
    const double tolerance = arithmetic_ == Arithmetic::float32 ? 1e-4 : 1e-2;
    const bool isGood = worst_ < tolerance;  // not for NaN
    isGood_ = isGood_ && isGood;
    static const char* const names[] = {"float32", "tf32", "bfloat16"};
    std::printf("%-24s %-9s %9.2e  (below %.0e) %s\n", name, names[static_cast<int>(arithmetic_)], worst_, tolerance,
                isGood ? "good" : "WRONG");
    std::fflush(stdout);
  }

  // The largest difference, relative to the largest value expected.
  void compare(const Vector& got, const Vector& expected) {
    double apart = 0, size = 1e-6;
    for (size_t i = 0; i < expected.size(); i++) {
      const double difference = std::abs(got.at(i) - expected[i]);
      if (!(difference <= apart)) apart = difference;
      size = std::max(size, std::abs(expected[i]));
    }
    if (!(apart / size <= worst_)) worst_ = apart / size;
  }

  // ---- inputs: sizes, numbers as the device has them, and both

  int64_t between(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(random_); }
  // About `large`, on the emulation a fraction of it; on every other turn a multiple of 8.
  int64_t size(int64_t large) {
    const int64_t most = isSmall_ ? std::max<int64_t>(large / 8, 8) : large, some = between(most / 2 + 1, most);
    return turn_ % 2 == 0 ? (some + 7) / 8 * 8 : some;
  }
  bool isBfloat16() const { return arithmetic_ == Arithmetic::bfloat16; }
  Format stored() const { return isBfloat16() ? Format::bfloat16 : Format::float32; }
  // What products make of their operands without an error of their own.
  Format exact() const { return arithmetic_ == Arithmetic::float32 ? Format::float32 : Format::bfloat16; }
  Vector numbers(int64_t count, Format format, double scale = 1) {
    std::uniform_real_distribution<double> uniform(-scale, scale);
    Vector values = zeros(count);
    for (double& value : values) value = rounded(uniform(random_), format);
    return values;
  }
  Vector floats(int64_t count, double scale = 1) { return numbers(count, Format::float32, scale); }
  Vector activations(int64_t count, double scale = 1) { return numbers(count, stored(), scale); }
  Array there(const Vector& values, Format format = Format::float32) { return Array(device_, values, format); }
  Array activationsThere(const Vector& values) { return Array(device_, values, stored()); }
  Array room(int64_t count, Format format = Format::float32) { return Array(device_, static_cast<size_t>(count), format); }
  Array activationRoom(int64_t count) { return room(count, stored()); }
  static int32_t* ints(const Array& array) { return static_cast<int32_t*>(array.bits()); }
  Array intsThere(const Ints& values) {
    Vector bits;
    for (const int32_t value : values) {
      float same;
      std::memcpy(&same, &value, 4);
      bits.push_back(same);
    }
    return there(bits);
  }
  Ints integers(int64_t count, int64_t bound) {
    Ints values;
    for (int64_t i = 0; i < count; i++) values.push_back(static_cast<int32_t>(between(0, bound - 1)));
    return values;
  }
  Dropout dropout() { return {turn_ == 1 ? 0 : 0.25, 9, {random_(), 3, 2}}; }

  // ---- kernels

  void linear() {
    const int64_t m = size(300), k = size(260), n = size(520);
    const Vector x = activations(m * k), w = floats(n * k), b = floats(n);
    Vector z = product(x, w, m, k, n, false, true), y = zeros(m * n);
    for (int64_t i = 0; i < m * n; i++) z[i] += b[i % n];
    for (const Activation activation : kActivations) {
      for (int64_t i = 0; i < m * n; i++) y[i] = activated(z[i], activation);
      for (const bool keeps : {false, true}) {
        if (keeps && activation == Activation::none) continue;
        const Array out = activationRoom(m * n), pre = activationRoom(m * n);
        operations_.linear(activationsThere(x), there(w), there(b), out, keeps ? static_cast<Activations>(pre) : kNone, m, k, n, activation,
                           Precision::float32);
        compare(out.read(), y);
        if (keeps) compare(pre.read(), z);
      }
    }
  }

  void linearBackward() {
    const int64_t m = size(300), k = size(260), n = size(520);
    const Vector dy = activations(m * n), x = activations(m * k), w = floats(n * k), saved = activations(m * k, 3);
    for (const Activation activation : kActivations) {
      const Array dx = activationRoom(m * k), dw = room(n * k), db = room(n);
      operations_.linearGradient(activationsThere(dy), activationsThere(x), there(w), activationsThere(saved), dx, dw, db, m, k, n,
                                 activation, Precision::float32);
      const LinearGradient expected = linearGradient(dy, x, w, saved, m, k, n, activation);
      compare(dx.read(), expected.dx);
      compare(dw.read(), expected.dw);
      compare(db.read(), expected.db);
    }
  }

  void matmul() {
    const int64_t m = size(200), k = size(300), n = size(100);
    const Vector a = floats(m * k), b = floats(k * n);
    for (const bool transposeA : {false, true}) {
      for (const bool transposeB : {false, true}) {
        const Array c = room(m * n);
        operations_.matmul(there(a), there(b), c, m, k, n, transposeA, transposeB);
        compare(c.read(), product(a, b, m, k, n, transposeA, transposeB));
      }
    }
  }

  void attention(bool backward) {
    const bool isSelf = turn_ == 0;
    AttentionShape s = {};
    s.batch = 2;
    s.heads = isSmall_ ? 2 : 4;
    // Narrower than 8, the terms of a gradient nearly cancel, and bfloat16's rounding of each is per cents of what is left of them.
    s.headWidth = turn_ == 0 ? 64 : turn_ == 1 ? between(isBfloat16() ? 8 : 1, 32) : 128;
    s.queries = isSmall_ ? between(70, 140) : between(100, 260);  // some tiles of 64
    s.keys = isSelf ? s.queries : isSmall_ ? between(70, 140) : between(100, 300);
    s.causal = isSelf;
    const int64_t width = s.heads * s.headWidth;
    s.qStride = isSelf ? 3 * width : width;
    s.kvStride = isSelf ? s.qStride : 2 * width;
    s.kOffset = isSelf ? width : 0;
    s.vOffset = s.kOffset + width;
    const Ints lengths = {static_cast<int32_t>(s.keys), static_cast<int32_t>(isSelf ? s.keys / 2 : 0)};
    const Vector query = activations(s.batch * s.queries * s.qStride, 2);
    const Vector memory = isSelf ? query : activations(s.batch * s.keys * s.kvStride, 2);
    const Attention reference = {s, query, memory, lengths};
    Vector out = zeros(s.batch * s.queries * width), logSum = zeros(s.batch * s.heads * s.queries);
    reference.forward(out, logSum);
    const Array queryThere = activationsThere(query), memoryThere = activationsThere(memory), lengthsThere = intsThere(lengths);
    if (!backward) {
      const Array got = activationRoom(static_cast<int64_t>(out.size())), sums = room(static_cast<int64_t>(logSum.size()));
      operations_.attention(queryThere, memoryThere, ints(lengthsThere), got, sums, s);
      compare(got.read(), out);
      return compare(sums.read(), logSum);
    }
    const Vector dOut = activations(static_cast<int64_t>(out.size()));
    Vector dQuery = zeros(static_cast<int64_t>(query.size())), dMemory = zeros(static_cast<int64_t>(memory.size()));
    reference.backward(dOut, dQuery, dMemory);
    // Of self-attention both are parts of one array.
    if (isSelf) std::transform(dQuery.begin(), dQuery.end(), dMemory.begin(), dQuery.begin(), std::plus<>());
    const Array dQueryThere = activationRoom(static_cast<int64_t>(query.size()));
    const Array dMemoryThere = activationRoom(static_cast<int64_t>(memory.size()));
    operations_.attentionGradient(queryThere, memoryThere, ints(lengthsThere), activationsThere(out), there(logSum),
                                  activationsThere(dOut), dQueryThere, isSelf ? dQueryThere : dMemoryThere, s);
    compare(dQueryThere.read(), dQuery);
    if (!isSelf) compare(dMemoryThere.read(), dMemory);
  }

  void norm() {
    const int64_t rows = size(400), width = size(520);
    const Vector residual = activations(rows * width), x = activations(rows * width), gamma = floats(width), beta = floats(width);
    const Dropout field = dropout();
    const Array sum = activationRoom(rows * width), y = activationRoom(rows * width), stats = room(rows * 2);
    operations_.addDropoutNorm(activationsThere(residual), activationsThere(x), there(gamma), there(beta), sum, y, kNone, stats, rows,
                               width, 1e-5f, field);
    const Norm expected = addDropoutNorm(residual, x, gamma, beta, rows, width, 1e-5, field);
    compare(sum.read(), expected.sum);
    compare(y.read(), expected.y);
    compare(stats.read(), expected.stats);
  }

  void normBackward() {
    const int64_t rows = size(400), width = size(520), all = rows * width;
    const Vector dy = activations(all), dOperand = activations(all), dSum = activations(all), sum = activations(all);
    const Vector gamma = floats(width);
    const Vector none = zeros(all), zero = zeros(width);
    const Vector stats = addDropoutNorm(sum, none, zero, zero, rows, width, 1e-5, Dropout{}).stats;
    const Dropout field = dropout();
    const Array dResidual = activationRoom(all), dx = activationRoom(all), dGamma = room(width), dBeta = room(width);
    operations_.addDropoutNormGradient(activationsThere(dy), activationsThere(dOperand), activationsThere(dSum),
                                       activationsThere(sum), there(gamma), there(stats), dResidual, dx, dGamma, dBeta, rows,
                                       width, field);
    Vector both = dy;
    std::transform(dy.begin(), dy.end(), dOperand.begin(), both.begin(), std::plus<>());
    const NormGradient expected = addDropoutNormGradient(both, dSum, sum, gamma, stats, rows, width, field);
    compare(dResidual.read(), expected.dResidual);
    compare(dx.read(), expected.dx);
    compare(dGamma.read(), expected.dGamma);
    compare(dBeta.read(), expected.dBeta);
  }

  void embedding() {
    const int64_t length = size(80), rows = 3 * length, width = size(260), vocabulary = size(1000);
    const Ints ids = integers(rows, vocabulary);
    const Vector table = floats(vocabulary * width), positions = floats((length + 2) * width);
    const Dropout field = dropout();
    const Array out = activationRoom(rows * width);
    operations_.embedding(there(table), there(positions), ints(intsThere(ids)), out, rows, length, 2, width, 16, field);
    Vector expected = zeros(rows * width);
    for (int64_t i = 0; i < rows * width; i++) {
      const int64_t row = i / width, column = i % width;
      expected[i] = (table[ids[row] * width + column] * 16 + positions[(2 + row % length) * width + column]) * dropoutFactor(field, i);
    }
    compare(out.read(), expected);
  }

  void embeddingBackward() {
    const int64_t rows = size(400), width = size(260), vocabulary = size(1000);
    const Ints ids = integers(rows, vocabulary / 3);
    const Vector dOut = activations(rows * width), before = floats(vocabulary * width);
    const Dropout field = dropout();
    const int64_t padding = turn_ == 0 ? ids[0] : -1;
    const bool accumulates = turn_ != 2;
    const Array dTable = there(before);
    operations_.embeddingGradient(activationsThere(dOut), ints(intsThere(ids)), dTable, rows, vocabulary, width, 16, field, padding,
                                  accumulates);
    Vector expected = accumulates ? before : zeros(vocabulary * width);
    for (int64_t i = 0; i < rows * width; i++) {
      const int32_t id = ids[i / width];
      if (id != padding) expected[id * width + i % width] += dOut[i] * dropoutFactor(field, i) * 16;
    }
    compare(dTable.read(), expected);
  }

  void loss(bool backward) {
    const int64_t rows = isSmall_ ? size(200) : between(1030, 1100), hiddenRows = rows + 5, width = size(100), vocabulary = size(900);
    const double smoothing = turn_ == 1 ? 0 : 0.1, scale = 0.5;
    const Vector hidden = numbers(hiddenRows * width, exact(), 2), table = numbers(vocabulary * width, exact()), bias = floats(vocabulary);
    Ints lossRows;
    for (int64_t i = 0; i < rows; i++) lossRows.push_back(static_cast<int32_t>(i + (i > rows / 2 ? 5 : 0)));
    const Ints labels = integers(rows, vocabulary);
    Vector inputs = zeros(rows * width);
    for (int64_t i = 0; i < rows * width; i++) inputs[i] = hidden[lossRows[i / width] * width + i % width];
    Vector logits = product(inputs, table, rows, width, vocabulary, false, true);
    for (int64_t i = 0; i < rows * vocabulary; i++) logits[i] += bias[i % vocabulary];
    const Loss expected = crossEntropy(logits, labels, vocabulary, smoothing);

    const Array hiddenThere = activationsThere(hidden), tableThere = there(table), rowsThere = intsThere(lossRows);
    const Array dLogits = activationRoom(rows * vocabulary), lossThere = room(1), correct = room(1);
    operations_.crossEntropy(hiddenThere, tableThere, there(bias), ints(rowsThere), ints(intsThere(labels)), dLogits, lossThere, correct,
                             rows, width, vocabulary, smoothing, Precision::float32);
    compare(lossThere.read(), {expected.loss});
    compare(correct.read(), {expected.correct});
    compare(dLogits.read(), expected.dLogits);
    if (!backward) return;
    const Vector before = floats(vocabulary * width);
    const Array dHidden = activationRoom(hiddenRows * width), dTable = there(before);
    operations_.crossEntropyGradient(dLogits, hiddenThere, tableThere, ints(rowsThere), dHidden, dTable, hiddenRows, rows, width,
                                     vocabulary, static_cast<float>(scale), true, Precision::float32);
    const Vector ofRows = product(expected.dLogits, table, rows, vocabulary, width, false, false);
    Vector dHiddenExpected = zeros(hiddenRows * width), dTableExpected = before;
    for (int64_t i = 0; i < rows * width; i++) dHiddenExpected[lossRows[i / width] * width + i % width] = scale * ofRows[i];
    const Vector ofTable = product(expected.dLogits, inputs, vocabulary, rows, width, true, false);
    for (size_t i = 0; i < ofTable.size(); i++) dTableExpected[i] += scale * ofTable[i];
    compare(dHidden.read(), dHiddenExpected);
    compare(dTable.read(), dTableExpected);
  }

  void sum() {
    const int64_t count = size(9000);
    const Vector a = activations(count), b = activations(count);
    const Array out = activationRoom(count);
    device_.sum(out, activationsThere(a), activationsThere(b), count, stored());
    Vector expected = a;
    std::transform(a.begin(), a.end(), b.begin(), expected.begin(), std::plus<>());
    compare(out.read(), expected);
  }

  void add() {
    const int64_t count = size(9000);
    const Vector a = floats(count), b = floats(count);
    for (const bool rounds : {false, true}) {
      const Array out = room(count);
      operations_.add(out, there(a), there(b), count, rounds);
      Vector expected = a;
      for (int64_t i = 0; i < count; i++) {
        // As the kernel does: to float32 first, then, if at all, to bfloat16.
        expected[i] = rounded(rounded(a[i] + b[i], Format::float32), rounds ? Format::bfloat16 : Format::float32);
      }
      compare(out.read(), expected);
    }
  }

  void conversions() {
    const int64_t count = size(9000);
    const Vector values = floats(count, 1000);
    Vector expected = values;
    for (double& value : expected) value = rounded(value, Format::bfloat16);
    const Array inPlace = there(values), packed = room(count, Format::bfloat16), unpacked = room(count);
    operations_.roundToBfloat16(inPlace, count);
    operations_.packBfloat16(there(values), static_cast<uint16_t*>(packed.bits()), count);
    operations_.unpackBfloat16(static_cast<uint16_t*>(packed.bits()), unpacked, count);
    for (const Array* const got : {&inPlace, &packed, &unpacked}) compare(got->read(), expected);
  }

  void sumOfSquares() {
    const int64_t count = size(200'000);
    const Vector values = floats(count);
    double expected = 0;
    for (const double value : values) expected += value * value;
    compare({operations_.sumOfSquares(there(values), count)}, {expected});
  }

  void adamW() {
    const int64_t count = size(9000);
    const Vector p = floats(count), m = floats(count), g = floats(count);
    Vector v = floats(count);
    for (double& value : v) value = rounded(value * value, Format::float32);
    const AdamW s = {0.1, 0.01, 0.9, 0.98, 1e-9, 0.1, 1 - 0.9 * 0.9, 1 - 0.98 * 0.98};
    const Array parameters = there(p), moment1 = there(m), moment2 = there(v);
    const int32_t bounds[] = {0, 1, static_cast<int32_t>(count / 3), static_cast<int32_t>(count / 2)};
    const Ranges undecayed = {bounds, 2};
    operations_.adamW(parameters, moment1, moment2, there(g), count, undecayed, s);
    Vector expected[3] = {p, m, v};
    for (int64_t i = 0; i < count; i++) {
      const double gradient = g[i] * s.gradientScale;
      expected[1][i] = m[i] * s.beta1 + gradient * (1 - s.beta1);
      expected[2][i] = v[i] * s.beta2 + gradient * gradient * (1 - s.beta2);
      const bool decays = i >= 1 && (i < count / 3 || i >= count / 2);
      expected[0][i] = p[i] * (decays ? 1 - s.learningRate * s.weightDecay : 1) -
                       s.learningRate * (expected[1][i] / s.correction1) / (std::sqrt(expected[2][i] / s.correction2) + s.epsilon);
    }
    compare(parameters.read(), expected[0]);
    compare(moment1.read(), expected[1]);
    compare(moment2.read(), expected[2]);
  }

  const Device& device_;
  const Operations& operations_;
  const Arithmetic arithmetic_;
  const bool isSmall_;
  std::mt19937_64 random_;
  int turn_ = 0;
  double worst_ = 0;
  bool isGood_ = true;
};

const Device& openDevice(const std::string& path) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw std::runtime_error(dlerror());
  using Entry = const Device* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, "lockstepCudaDevice"));
  if (!entry || entry()->version != cuda::kDeviceVersion) throw std::runtime_error(path + " is not of this version");
  if (entry()->count() == 0) throw std::runtime_error("there is no CUDA device, or its driver is older than " + path);
  entry()->open(0);
  return *entry();
}

std::string libraryBeside(const std::string& program) {
  const size_t slash = program.rfind('/');
  return (slash == std::string::npos ? "./" : program.substr(0, slash + 1)) + "lockstep-cuda.so";
}

int run(int count, char** arguments) {
  const Device& device = openDevice(count > 1 ? arguments[1] : libraryBeside(arguments[0]));
  const uint64_t seed = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : std::random_device()();
  const cuda::DeviceInfo info = device.info();
  std::printf("%s (%s), seed %llu: errors relative to the largest value\n", info.name, info.architecture,
              static_cast<unsigned long long>(seed));
  bool isGood = true;
  for (const Arithmetic arithmetic : {Arithmetic::float32, Arithmetic::tf32, Arithmetic::bfloat16}) {
    if (arithmetic == Arithmetic::tf32 && info.emulated) continue;  // which computes float32 there
    isGood = Check(device, arithmetic, seed, info.emulated).run() && isGood;
  }
  device.close();
  return isGood ? 0 : 1;
}

}  // namespace
}  // namespace lockstep::check

int main(int count, char** arguments) {
  try {
    return lockstep::check::run(count, arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
}
