#include "comm/mpi_reduce.hpp"

#include "annulus/base/error.hpp"
#include "comm/mpi_call.hpp"
#include "comm/reduce.hpp"

namespace annulus::comm {
namespace {

/// `upper` becomes the combination of both, of which `lower` is of lower ranks.
template <Reduction reduction>
void combine_doubles(void* lower, void* upper, int* count, MPI_Datatype* /*type*/) {
  const auto* const first = static_cast<const double*>(lower);
  auto* const second = static_cast<double*>(upper);
  for (int i = 0; i < *count; ++i) second[i] = combine(first[i], second[i], reduction);
}

}  // namespace

MPI_Op operation_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::sum:
      return MPI_SUM;
    case Reduction::maximum:
      return MPI_MAX;
    case Reduction::minimum:
      return MPI_MIN;
  }
  broken_invariant("unknown reduction");
}

MpiExtremum::MpiExtremum(Reduction reduction, int rank) {
  ensure(reduction != Reduction::sum, "a sum of doubles depends on the order");
  auto* const function = reduction == Reduction::maximum ? combine_doubles<Reduction::maximum>
                                                         : combine_doubles<Reduction::minimum>;
  // The first of equal values and the last NaN win, so ranks may be grouped, but not exchanged.
  constexpr int commutes = 0;
  check_mpi(MPI_Op_create(function, commutes, &operation_), "MPI_Op_create", rank);
}

}  // namespace annulus::comm
