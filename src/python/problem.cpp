// annulus.Problem: what is to be computed, from keyword arguments.
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nanobind/operators.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "annulus/attention/problem.hpp"
#include "annulus/base/read_option.hpp"
#include "python/bindings.hpp"

namespace annulus::python {
namespace {

using namespace nb::literals;

/// Cumulated lengths from any iterable of integers: a list, an array, a tensor.
std::vector<Index> offsets_of(const nb::object& numbers, const char* name) {
  std::vector<Index> offsets;
  for (const nb::handle number : nb::iter(numbers)) {
    const nb::object index = nb::steal(PyNumber_Index(number.ptr()));
    if (!index.is_valid()) {
      PyErr_Clear();
      throw InputError(fmt::format("{}: expected integers", name));
    }
    offsets.push_back(nb::cast<Index>(index));
  }
  return offsets;
}

Documents documents_of(std::optional<Index> length, std::optional<Index> key_length, Index batch,
                       const std::optional<nb::object>& documents,
                       const std::optional<nb::object>& key_documents) {
  if (length.has_value() == documents.has_value()) {
    throw InputError("length, documents: expected one of them");
  }
  if (length) {
    if (key_documents) throw InputError("key_documents: expected documents beside it");
    return read_option("length, key_length, batch", [&] {
      return Documents::batch(batch, *length, key_length.value_or(*length));
    });
  }
  if (key_length || batch != 1) {
    throw InputError("key_length, batch: expected length beside it, not documents");
  }
  auto queries = offsets_of(*documents, "documents");
  auto keys = key_documents ? offsets_of(*key_documents, "key_documents") : queries;
  return read_option("documents, key_documents",
                     [&] { return Documents::packed(std::move(queries), std::move(keys)); });
}

Problem make_problem(std::optional<Index> length, Index query_heads, std::optional<Index> key_heads,
                     Index head_dim, std::optional<Index> value_dim, const std::string& mask,
                     const std::string& logit_scale, std::optional<Index> key_length, Index batch,
                     const std::optional<nb::object>& documents,
                     const std::optional<nb::object>& key_documents) {
  Problem problem{
      .query_heads = query_heads,
      .key_heads = key_heads.value_or(query_heads),
      .head_dim = head_dim,
      .value_dim = value_dim.value_or(head_dim),
      .documents = documents_of(length, key_length, batch, documents, key_documents),
      .mask = read_option("mask", [&] { return Mask::parse(mask); }),
      .logit_scale = read_option("logit_scale", [&] { return LogitScale::parse(logit_scale); })};
  validate(problem);
  return problem;
}

std::vector<Index> list_of(std::span<const Index> offsets) {
  return {offsets.begin(), offsets.end()};
}

std::string text_of(const Problem& problem) {
  const auto& documents = problem.documents;
  return fmt::format(
      "Problem({} queries, {} keys, {} document{}, {} heads on {}, d = {}, d_v = {}, mask {}, "
      "logit scale {})",
      documents.queries(), documents.keys(), documents.count(), documents.count() == 1 ? "" : "s",
      problem.query_heads, problem.key_heads, problem.head_dim, problem.output_dim(),
      problem.mask.name(), problem.logit_scale.name());
}

}  // namespace

void bind_problem(nb::module_& module) {
  nb::class_<Problem>(module, "Problem", R"(What is to be computed, without a word on where.

length       tokens of the sequence, or documents instead
query_heads  H, a multiple of key_heads
key_heads    G; by default H
head_dim     d of queries and keys
value_dim    d_v of values and outputs; by default d
mask         'full', 'causal', 'window:LEFT' or 'window:LEFT,RIGHT'
logit_scale  a policy, such as 'none', 'critical:gamma=2' or 'ssmax:s=0.4'
key_length   keys of the sequence where they are not as many as queries: the last query
             stands where the last key stands
batch        how many sequences of that length, laid end to end, which do not see each other
documents    cumulated lengths of packed documents: D + 1 integers from 0 on
key_documents  the same of keys, where they differ

Raises InputError, naming the argument, where this makes no sense.)")
      .def(
          "__init__",
          [](Problem* self, std::optional<Index> length, Index query_heads,
             std::optional<Index> key_heads, Index head_dim, std::optional<Index> value_dim,
             const std::string& mask, const std::string& logit_scale,
             std::optional<Index> key_length, Index batch,
             const std::optional<nb::object>& documents,
             const std::optional<nb::object>& key_documents) {
            new (self)
                Problem(make_problem(length, query_heads, key_heads, head_dim, value_dim, mask,
                                     logit_scale, key_length, batch, documents, key_documents));
          },
          "length"_a = nb::none(), nb::kw_only(), "query_heads"_a = 1, "key_heads"_a = nb::none(),
          "head_dim"_a = 64, "value_dim"_a = nb::none(), "mask"_a = "full",
          "logit_scale"_a = "none", "key_length"_a = nb::none(), "batch"_a = 1,
          "documents"_a = nb::none(), "key_documents"_a = nb::none())
      .def_ro("query_heads", &Problem::query_heads, "H")
      .def_ro("key_heads", &Problem::key_heads, "G")
      .def_ro("head_dim", &Problem::head_dim, "d")
      .def_prop_ro("value_dim", &Problem::output_dim, "d_v")
      .def_prop_ro("mask", [](const Problem& self) { return self.mask.name(); })
      .def_prop_ro(
          "logit_scale", [](const Problem& self) { return self.logit_scale.name(); },
          "the policy with every key spelled out")
      .def_prop_ro("queries", [](const Problem& self) { return self.documents.queries(); })
      .def_prop_ro("keys", [](const Problem& self) { return self.documents.keys(); })
      .def_prop_ro(
          "documents", [](const Problem& self) { return list_of(self.documents.query_offsets()); },
          "cumulated lengths in queries, D + 1 of them")
      .def_prop_ro(
          "key_documents",
          [](const Problem& self) { return list_of(self.documents.key_offsets()); },
          "cumulated lengths in keys, D + 1 of them")
      .def("__repr__", &text_of);
}

}  // namespace annulus::python
