#pragma once
// C's arguments as those of the library.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "annulus/annulus.h"
#include "annulus/base/tensor_view.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/plan.hpp"
#include "annulus/ring/ring_attention.hpp"

namespace annulus::c {

/// annulus_options with its defaults filled in.
struct Options {
  PlanOptions plan;
  std::string backend;
  int threads = 0;

  [[nodiscard]] const kernels::Kernel& kernel() const;
  /// Threads of a rank of `communicator`.
  [[nodiscard]] int threads_of(const comm::Communicator& communicator) const;
};

/// Both throw InputError that names the member.
[[nodiscard]] Problem problem_of(const annulus_problem& problem);
[[nodiscard]] Options options_of(const annulus_options* options);

/// Ranks of a Fortran communicator; InputError in builds without MPI. Collective.
[[nodiscard]] std::unique_ptr<comm::Communicator> fortran_communicator(int communicator);

/// A dense array of `rows` rows. Throws InputError, naming it, where it is NULL though it has rows.
[[nodiscard]] ConstTensorView input(const void* data, const char* name, DataType type, Index rows,
                                    Index heads, Index dim);
[[nodiscard]] TensorView output(void* data, const char* name, DataType type, Index rows,
                                Index heads, Index dim);

/// `count` numbers, or none where `data` is NULL.
template <class T>
[[nodiscard]] std::span<T> numbers(T* data, Index count) {
  return data == nullptr ? std::span<T>{} : std::span(data, static_cast<std::size_t>(count));
}

/// Gains, sinks and outputs for `rows` queries of a problem that is computed in `type`. Throws
/// InputError where a statistic is not one, or a table does not belong to the logit scale.
[[nodiscard]] ForwardOptions forward_options(const annulus_inputs* inputs,
                                             const annulus_outputs* outputs, const Problem& problem,
                                             DataType type, Index rows);

}  // namespace annulus::c
