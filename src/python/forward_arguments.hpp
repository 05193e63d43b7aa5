#pragma once
// What passes take besides queries, keys and values.

#include <optional>

#include "annulus/ring/ring_attention.hpp"
#include "python/agreement.hpp"
#include "python/arrays.hpp"

namespace annulus::python {

/// The shapes of one rank's arrays.
struct Shapes {
  Index rows;
  Index keys;
  Index heads;
  Index key_heads;
  Index d;
  Index d_v;
  DataType type;
  DataType sums;
  DeviceKind device;

  Shapes(const Problem& problem, DataType type_, Index rows_, Index keys_, DeviceKind device_)
      : rows(rows_),
        keys(keys_),
        heads(problem.query_heads),
        key_heads(problem.key_heads),
        d(problem.head_dim),
        d_v(problem.output_dim()),
        type(type_),
        sums(accumulator_of(type_)),
        device(device_) {}

  [[nodiscard]] Expected q() const { return {"q", type, rows, heads, d, device}; }
  [[nodiscard]] Expected k() const { return {"k", type, keys, key_heads, d, device}; }
  [[nodiscard]] Expected v() const { return {"v", type, keys, key_heads, d_v, device}; }
  [[nodiscard]] Expected out() const { return {"out", sums, rows, heads, d_v, device}; }
  [[nodiscard]] Expected dout() const { return {"dout", type, rows, heads, d_v, device}; }
  [[nodiscard]] Expected dq() const { return {"dq", sums, rows, heads, d, device}; }
  [[nodiscard]] Expected dk() const { return {"dk", sums, keys, key_heads, d, device}; }
  [[nodiscard]] Expected dv() const { return {"dv", sums, keys, key_heads, d_v, device}; }
  /// A number for each row and head.
  [[nodiscard]] Expected of_rows(const char* name) const {
    return {name, sums, rows, heads, 1, device};
  }
};

/// Arrays by name.
using Named = nb::typed<nb::dict, nb::str, nb::any>;

/// Optional inputs and outputs of a pass, as Python has them.
class ForwardArguments {
 public:
  ForwardArguments(std::optional<nb::object> lse, Named statistics,
                   std::optional<ConstNumbers> gain, std::optional<ConstNumbers> sink,
                   std::optional<ConstNumbers> logit_scale)
      : lse_(std::move(lse)),
        statistics_(std::move(statistics)),
        gain_(std::move(gain)),
        sink_(std::move(sink)),
        logit_scale_(std::move(logit_scale)) {}

  /// With the GIL. Throws InputError, naming the argument, where it does not fit.
  [[nodiscard]] ForwardOptions options(Arrays& arrays, const Problem& problem,
                                       const Shapes& shapes) const;

  /// What all ranks have to say alike in a call of `pass`.
  [[nodiscard]] Facts facts(const char* pass, bool held) const;

 private:
  [[nodiscard]] bool has_statistics() const {
    // NOLINTNEXTLINE(readability-container-size-empty): which dictionaries of nanobind 2.2 have not
    return statistics_.size() > 0;
  }

  std::optional<nb::object> lse_;
  Named statistics_;
  std::optional<ConstNumbers> gain_;
  std::optional<ConstNumbers> sink_;
  std::optional<ConstNumbers> logit_scale_;
};

void bind_forward_arguments(nb::module_& module);

}  // namespace annulus::python
