// JavaScript functions of the model's operations: each reads the sizes, checks that the arrays hold them and that
// every index points inside, and calls through the table. Order of arguments: src/engine/native/addon.ts.
#include "bindings.h"
#include "call.h"

namespace lockstep {
namespace {

// Float32 products take float32 alone, and what a kernel handles together has one format.
const char* arrayOf(Activations array) { return array.format == Format::bfloat16 ? "a Uint16Array" : "a Float32Array"; }

void checkFormat(const char* name, Activations array, Precision precision) {
  if (precision == Precision::bfloat16 || array.format == Format::float32) return;
  throw ArgumentError(false, std::string(name) + ": expected a Float32Array, since products take float32, got " + arrayOf(array));
}
void checkSameFormat(const char* name, Activations array, const char* otherName, Activations other) {
  if (!array.data || !other.data || array.format == other.format) return;
  throw ArgumentError(false, std::string(otherName) + ": expected " + arrayOf(array) + " as " + name + " is, got " +
                                 arrayOf(other));
}

napi_value linear(const Arguments& a) {
  const int64_t m = a.size(5, "m"), k = a.size(6, "k"), n = a.size(7, "n");
  const Precision precision = a.precision(9, "precision");
  const Activations x = a.activations(0, "x", sizeOf(m, k)), y = a.activations(3, "y", sizeOf(m, n));
  const Activations preActivation = a.activationsOrNone(4, "preActivation", sizeOf(m, n));
  checkFormat("x", x, precision);
  checkFormat("y", y, precision);
  checkSameFormat("y", y, "preActivation", preActivation);
  a.perform(&Operations::linear, x, a.floats(1, "w", sizeOf(n, k)), a.floatsOrNull(2, "b", n), y, preActivation, m, k,
            n, a.activation(8, "activation"), precision);
  return nullptr;
}

napi_value linearGradient(const Arguments& a) {
  const int64_t m = a.size(7, "m"), k = a.size(8, "k"), n = a.size(9, "n");
  const Activation activation = a.activation(10, "activation");
  const Precision precision = a.precision(11, "precision");
  const Activations dy = a.activations(0, "dy", sizeOf(m, n)), x = a.activations(1, "x", sizeOf(m, k));
  const Activations saved = activation == Activation::none ? kNone : a.activations(3, "saved", sizeOf(m, k));
  const Activations dx = a.activations(4, "dx", sizeOf(m, k));
  checkFormat("dy", dy, precision);
  checkFormat("x", x, precision);
  checkFormat("dx", dx, precision);
  checkSameFormat("dx", dx, "saved", saved);
  a.perform(&Operations::linearGradient, dy, x, a.floats(2, "w", sizeOf(n, k)), saved, dx,
            a.floats(5, "dw", sizeOf(n, k)), a.floatsOrNull(6, "db", n), m, k, n, activation, precision);
  return nullptr;
}

napi_value matmul(const Arguments& a) {
  const int64_t m = a.size(3, "m"), k = a.size(4, "k"), n = a.size(5, "n");
  a.perform(&Operations::matmul, a.floats(0, "a", sizeOf(m, k)), a.floats(1, "b", sizeOf(k, n)),
            a.floats(2, "c", sizeOf(m, n)), m, k, n, a.flag(6, "transposeA"), a.flag(7, "transposeB"));
  return nullptr;
}

// What the arrays of an attention call must hold.
struct AttentionSizes {
  int64_t query = 0, memory = 0, out, logSum;

  explicit AttentionSizes(const AttentionShape& s) {
    const int64_t width = s.heads * s.headWidth;
    const int64_t queryRows = sizeOf(s.batch, s.queries), keyRows = sizeOf(s.batch, s.keys);
    if (queryRows > 0) query = s.qOffset + sizeOf(queryRows - 1, s.qStride) + width;
    const int64_t offset = s.kOffset > s.vOffset ? s.kOffset : s.vOffset;
    if (keyRows > 0) memory = offset + sizeOf(keyRows - 1, s.kvStride) + width;
    out = sizeOf(queryRows, width);
    logSum = sizeOf(queryRows, s.heads);
  }
};

napi_value attention(const Arguments& a) {
  const AttentionShape shape = a.attentionShape(5);
  const AttentionSizes sizes(shape);
  const int32_t* lengths = a.indices(2, "lengths", shape.batch, shape.keys + 1);
  const Activations query = a.activations(0, "query", sizes.query), memory = a.activations(1, "memory", sizes.memory);
  const Activations out = a.activations(3, "out", sizes.out);
  checkFormat("query", query, shape.precision);
  checkSameFormat("query", query, "memory", memory);
  checkSameFormat("query", query, "out", out);
  a.perform(&Operations::attention, query, memory, lengths, out, a.floats(4, "logSum", sizes.logSum), shape);
  return nullptr;
}

napi_value attentionGradient(const Arguments& a) {
  const AttentionShape shape = a.attentionShape(8);
  const AttentionSizes sizes(shape);
  const int32_t* lengths = a.indices(2, "lengths", shape.batch, shape.keys + 1);
  const Activations query = a.activations(0, "query", sizes.query), memory = a.activations(1, "memory", sizes.memory);
  const Activations out = a.activations(3, "out", sizes.out), dOut = a.activations(5, "dOut", sizes.out);
  const Activations dQuery = a.activations(6, "dQuery", sizes.query), dMemory = a.activations(7, "dMemory", sizes.memory);
  checkFormat("query", query, shape.precision);
  checkSameFormat("query", query, "memory", memory);
  checkSameFormat("query", query, "out", out);
  checkSameFormat("query", query, "dOut", dOut);
  checkSameFormat("query", query, "dQuery", dQuery);
  checkSameFormat("query", query, "dMemory", dMemory);
  a.perform(&Operations::attentionGradient, query, memory, lengths, out, a.floats(4, "logSum", sizes.logSum), dOut,
            dQuery, dMemory, shape);
  return nullptr;
}

napi_value addDropoutNorm(const Arguments& a) {
  const int64_t rows = a.size(8, "rows"), width = a.size(9, "width"), all = sizeOf(rows, width);
  a.perform(&Operations::addDropoutNorm, a.floatsOrNull(0, "residual", all), a.activations(1, "x", all),
            a.floats(2, "gamma", width), a.floats(3, "beta", width), a.floats(4, "sum", all), a.floats(5, "y", all),
            a.activationsOrNone(6, "operand", all), a.floats(7, "stats", sizeOf(rows, 2)), rows, width,
            static_cast<float>(a.number(10, "epsilon")), a.dropout(11));
  return nullptr;
}

napi_value addDropoutNormGradient(const Arguments& a) {
  const int64_t rows = a.size(10, "rows"), width = a.size(11, "width"), all = sizeOf(rows, width);
  const float* const dy = a.floatsOrNull(0, "dy", all);
  const Activations dOperand = a.isNull(0) ? a.activations(1, "dOperand", all) : a.activationsOrNone(1, "dOperand", all);
  a.perform(&Operations::addDropoutNormGradient, dy, dOperand, a.floatsOrNull(2, "dSum", all), a.floats(3, "sum", all),
            a.floats(4, "gamma", width), a.floats(5, "stats", sizeOf(rows, 2)), a.floatsOrNull(6, "dResidual", all),
            a.activations(7, "dx", all), a.floats(8, "dGamma", width), a.floats(9, "dBeta", width), rows, width,
            a.dropout(12));
  return nullptr;
}

napi_value embedding(const Arguments& a) {
  const int64_t rows = a.size(4, "rows"), length = a.size(5, "length"), first = a.size(6, "first");
  const int64_t width = a.size(7, "width");
  if (rows > 0 && (length == 0 || width == 0)) throw ArgumentError(true, "length and width: expected at least 1");
  const int64_t used = rows < length ? rows : length;  // positions beyond the first sample's are not read
  const float* positions = a.floats(1, "positions", used > 0 ? sizeOf(first + used, width) : 0);
  const int32_t* ids = a.indices(2, "ids", rows, rows > 0 ? a.length(0, "table") / width : 0);
  a.perform(&Operations::embedding, a.floats(0, "table", 0), positions, ids, a.floats(3, "out", sizeOf(rows, width)),
            rows, length, first, width, static_cast<float>(a.number(8, "scale")), a.dropout(9));
  return nullptr;
}

napi_value embeddingGradient(const Arguments& a) {
  const int64_t rows = a.size(3, "rows"), vocabulary = a.size(4, "vocabulary"), width = a.size(5, "width");
  const int32_t* ids = a.indices(1, "ids", rows, vocabulary);
  a.perform(&Operations::embeddingGradient, a.floats(0, "dOut", sizeOf(rows, width)), ids,
            a.floats(2, "dTable", sizeOf(vocabulary, width)), rows, vocabulary, width,
            static_cast<float>(a.number(6, "scale")), a.dropout(7), a.idOrNone(8, "padding"), a.flag(9, "accumulate"));
  return nullptr;
}

napi_value crossEntropy(const Arguments& a) {
  const int64_t rows = a.size(8, "rows"), width = a.size(9, "width"), vocabulary = a.size(10, "vocabulary");
  if (rows > 0 && width == 0) throw ArgumentError(true, "width: expected at least 1");
  const int32_t* lossRows = a.indices(3, "lossRows", rows, rows > 0 ? a.length(0, "hidden") / width : 0);
  const int32_t* labels = a.indices(4, "labels", rows, vocabulary);
  const Precision precision = a.precision(12, "precision");
  const Activations dLogits = a.activationsOrNone(5, "dLogits", sizeOf(rows, vocabulary));
  checkFormat("dLogits", dLogits, precision);
  a.perform(&Operations::crossEntropy, a.floats(0, "hidden", 0), a.floats(1, "table", sizeOf(vocabulary, width)),
            a.floats(2, "bias", vocabulary), lossRows, labels, dLogits, a.floats(6, "loss", 1),
            a.floats(7, "correct", 1), rows, width, vocabulary, a.number(11, "smoothing"), precision);
  return nullptr;
}

napi_value crossEntropyGradient(const Arguments& a) {
  const int64_t hiddenRows = a.size(6, "hiddenRows"), rows = a.size(7, "rows");
  const int64_t width = a.size(8, "width"), vocabulary = a.size(9, "vocabulary");
  const int32_t* lossRows = a.indices(3, "lossRows", rows, hiddenRows);
  const Precision precision = a.precision(12, "precision");
  const Activations dLogits = a.activations(0, "dLogits", sizeOf(rows, vocabulary));
  checkFormat("dLogits", dLogits, precision);
  a.perform(&Operations::crossEntropyGradient, dLogits, a.floats(1, "hidden", sizeOf(hiddenRows, width)),
            a.floats(2, "table", sizeOf(vocabulary, width)), lossRows,
            a.floats(4, "dHidden", sizeOf(hiddenRows, width)), a.floats(5, "dTable", sizeOf(vocabulary, width)),
            hiddenRows, rows, width, vocabulary, static_cast<float>(a.number(10, "scale")), a.flag(11, "accumulate"),
            precision);
  return nullptr;
}

}  // namespace

void bindModelOperations(napi_env env, napi_value target, const Callee& callee) {
  define<linear>(env, target, "linear", callee);
  define<linearGradient>(env, target, "linearGradient", callee);
  define<matmul>(env, target, "matmul", callee);
  define<attention>(env, target, "attention", callee);
  define<attentionGradient>(env, target, "attentionGradient", callee);
  define<addDropoutNorm>(env, target, "addDropoutNorm", callee);
  define<addDropoutNormGradient>(env, target, "addDropoutNormGradient", callee);
  define<embedding>(env, target, "embedding", callee);
  define<embeddingGradient>(env, target, "embeddingGradient", callee);
  define<crossEntropy>(env, target, "crossEntropy", callee);
  define<crossEntropyGradient>(env, target, "crossEntropyGradient", callee);
}

}  // namespace lockstep
