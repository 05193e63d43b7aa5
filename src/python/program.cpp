// What a rank does, as Python values that are made of named fields.
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "annulus/plan/format.hpp"
#include "annulus/plan/program.hpp"
#include "python/bindings.hpp"

namespace annulus::python {
namespace {

using Bounds = std::pair<Index, Index>;

Bounds bounds_of(const Interval& interval) {
  return {interval.begin, interval.end};
}

std::vector<Bounds> bounds_of(const Rows& rows) {
  std::vector<Bounds> all;
  for (const auto& interval : rows.intervals()) all.push_back(bounds_of(interval));
  return all;
}

/// A compute of one item with one item.
struct Meeting {
  Item queries;
  Item keys;
  int holder;
};

std::vector<Meeting> meetings_of(const Step& step) {
  std::vector<Meeting> meetings;
  for (const auto& compute : step.computes) {
    for (const auto& queries : compute.queries) {
      for (const auto& keys : compute.keys) meetings.push_back({queries, keys, compute.holder});
    }
  }
  return meetings;
}

}  // namespace

void bind_program(nb::module_& module) {
  nb::class_<Run>(module, "Run",
                  "Rows first, first + stride, ... (count of them) of a document, counted from "
                  "its start.")
      .def_ro("document", &Run::document)
      .def_ro("first", &Run::first)
      .def_ro("stride", &Run::stride)
      .def_ro("count", &Run::count)
      .def("__repr__", [](const Run& run) { return "Run(" + to_string(run) + ")"; });
  nb::class_<Item>(module, "Item",
                   "Some rows and heads of what one rank owns, which is sent, computed with and "
                   "let go as a whole.")
      .def_prop_ro(
          "what", [](const Item& item) { return name_of(item.what); },
          "'keys', 'key_gradients', 'queries', 'states', 'output_gradients' or 'query_gradients'")
      .def_ro("owner", &Item::owner, "the rank whose rows they are")
      .def_prop_ro(
          "rows", [](const Item& item) { return bounds_of(item.rows); },
          "(begin, end) of the owner's rows, at most two")
      .def_prop_ro(
          "heads", [](const Item& item) { return bounds_of(item.heads); }, "(begin, end)");
  nb::class_<Transfer>(module, "Transfer", "An item on its way to or from a rank.")
      .def_ro("item", &Transfer::item)
      .def_ro("peer", &Transfer::peer)
      .def_ro("due", &Transfer::due, "the step before which it is done")
      .def_ro("returns", &Transfer::returns, "whether a backward pass brings it back");
  nb::class_<Meeting>(module, "Compute", "Queries of a rank that meet keys of a rank.")
      .def_ro("queries", &Meeting::queries)
      .def_ro("keys", &Meeting::keys)
      .def_ro("holder", &Meeting::holder, "the rank in whose memory the keys are read");
  nb::class_<Step>(module, "Step",
                   "Transfers start, and the rank computes while they are under way.")
      .def_ro("takes", &Step::takes, "what is taken up from the forward pass")
      .def_ro("releases", &Step::releases, "what is let go")
      .def_ro("begins", &Step::begins, "sums that start from zero")
      .def_ro("sends", &Step::sends)
      .def_ro("receives", &Step::receives)
      .def_prop_ro("computes", meetings_of);
}

}  // namespace annulus::python
